import pytest
import torch

from hacm.errors import HacmError
from hacm.presets import make_config
from hacm.skeleton import COCO17, KINECT_V1
from hacm.training.checkpoint import save_encoder
from hacm.training.pretrain import build_pretrainer
from hacm.viz.clips import load_clip, open_encoder
from tests.viz.conftest import ALL_LAYOUTS


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)
def test_any_sequence_of_any_layout(make_store, layout):
    store = make_store(layout)
    bodies = [1, 2, 1, 2]
    for index in range(len(store)):
        clip = load_clip(store, index, 24)
        assert clip.x.shape == (bodies[index], 24, layout.V, 3)
        assert clip.label == store.label_names[store.labels[index]]
    assert clip.present[1].sum() < 6  # the body that is mostly away
    with pytest.raises(HacmError, match=r"holds the sequences 0\.\.3, not one numbered 4"):
        load_clip(store, 4, 24)


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=lambda layout: layout.name)
def test_an_untrained_encoder_depends_on_its_seed_alone(layout):
    torch.manual_seed(1)
    first, again, other = (open_encoder("", layout, seed) for seed in (0, 0, 1))
    assert torch.equal(first.patch_embed.weight, again.patch_embed.weight)
    assert not torch.equal(first.patch_embed.weight, other.patch_embed.weight)
    assert first.options.prune == bool(layout.trunk)


def test_the_encoder_of_another_layout_is_refused(tmp_path):
    config = make_config("hacm", "tiny")
    encoder = build_pretrainer(KINECT_V1, config).encoder
    save_encoder(tmp_path / "encoder.safetensors", encoder, config.to_json())
    opened = open_encoder(tmp_path, KINECT_V1)
    assert torch.equal(opened.patch_embed.weight, encoder.patch_embed.weight)
    with pytest.raises(
        HacmError, match=r"'kinect_v1' \(20 joints\), but .* 'coco17' \(17 joints\)"
    ):
        open_encoder(tmp_path, COCO17)
    with pytest.raises(HacmError, match="missing"):
        open_encoder(tmp_path / "nowhere", COCO17)
