import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hacm.training.schedule import equal_parts, set_lr, warmup_cosine


def rates(**options):
    return [warmup_cosine(step, **options) for step in range(options["total"] + 1)]


def test_warms_up_linearly_and_reaches_both_ends():
    lr = rates(warmup=10, total=110, lr=1.0, min_lr=0.5)
    assert lr[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert lr[10] == pytest.approx(1.0)
    assert lr[60] == pytest.approx(0.5 + 0.5 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert lr[110] == pytest.approx(0.5)
    assert all(a >= b for a, b in itertools.pairwise(lr[10:]))


def test_no_warmup_starts_at_the_full_rate():
    assert warmup_cosine(0, warmup=0, total=10, lr=0.1) == pytest.approx(0.1)


def test_groups_keep_their_scale():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr_scale": 0.5}])
    set_lr(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]


@given(N=st.integers(1, 700), batch_size=st.integers(2, 130))
def test_no_batch_is_larger_than_asked_for(N: int, batch_size: int) -> None:
    parts = equal_parts(torch.randperm(N), batch_size)
    sizes = [len(part) for part in parts]
    assert max(sizes) <= batch_size
    assert min(sizes) > 1 or N == 1
    seen = torch.cat(parts).tolist()
    assert len(set(seen)) == len(seen)
    # Only where two make a batch can a single one be left over.
    assert len(seen) == N or (batch_size == 2 and N % 2 == 1 and len(seen) == N - 1)
    assert max(sizes) - min(sizes) <= 1
