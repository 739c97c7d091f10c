import itertools
import math

import pytest
import torch

from hacm.training.schedule import set_lr, warmup_cosine


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
