"""Cases of the normalisation ops."""

from __future__ import annotations

import numpy as np

from minicnn.testing.cases.case import Sample, case
from minicnn.testing.cases.penalty import penalised


def _affine(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.5, 1.5, shape), rng.standard_normal(shape)


def _images(rng: np.random.Generator) -> np.ndarray:
    """Two to four axes, from three values per channel on."""
    channels = int(rng.integers(1, 4))
    shape = [(4, channels), (2, channels, 3), (2, channels, 1, 3), (1, channels, 2, 3)][int(rng.integers(4))]
    return rng.standard_normal(shape) * 2 + 1


@case("batch_norm", torch="torch.nn.functional.batch_norm")
def _batch_norm(rng: np.random.Generator) -> Sample:
    x = _images(rng)
    return Sample((x, None, None, *_affine(rng, x.shape[1])), {"training": True, "eps": 0.01})


@case("batch_norm", variant="plain", torch="torch.nn.functional.batch_norm")
def _batch_norm_plain(rng: np.random.Generator) -> Sample:
    return Sample((_images(rng), None, None), {"training": True, "eps": 0.1})


@case("batch_norm", variant="short_rows", torch="torch.nn.functional.batch_norm", order=3)
def _batch_norm_short_rows(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal((5, 3, int(rng.integers(1, 3))))
    return Sample((x, None, None, rng.uniform(0.5, 1.5, 3)), {"training": True, "eps": 0.01})


@case("batch_norm", variant="running", torch="torch.nn.functional.batch_norm", constants=(1, 2), writes=(1, 2))
def _batch_norm_running(rng: np.random.Generator) -> Sample:
    x = _images(rng)
    running = rng.standard_normal(x.shape[1]), rng.uniform(0.5, 2.0, x.shape[1])
    return Sample((x, *running, *_affine(rng, x.shape[1])), {"training": True, "momentum": 0.3, "eps": 0.01})


@case("batch_norm", variant="inference", torch="torch.nn.functional.batch_norm", constants=(1, 2))
def _batch_norm_inference(rng: np.random.Generator) -> Sample:
    x = _images(rng)
    running = rng.standard_normal(x.shape[1]), rng.uniform(0.5, 2.0, x.shape[1])
    affine = _affine(rng, x.shape[1]) if rng.integers(2) else (None, None)
    return Sample((x, *running, *affine))


@case("batch_norm", variant="penalty", order=1, call=penalised("batch_norm"))
def _batch_norm_penalty(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal((3, 2, int(rng.integers(1, 3))))
    return Sample((x, None, None, *_affine(rng, 2)), {"training": True, "eps": 0.1})


@case("instance_norm", torch="torch.nn.functional.instance_norm")
def _instance_norm(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal((2, 2, 3, int(rng.integers(1, 3)))) * 2 + 1
    affine = _affine(rng, 2) if rng.integers(2) else (None, None)
    return Sample((x, None, None, *affine), {"eps": 0.01})


@case(
    "instance_norm",
    variant="given",
    torch="torch.nn.functional.instance_norm",
    constants=("running_mean", "running_var"),
)
def _instance_norm_given(rng: np.random.Generator) -> Sample:
    running = {"running_mean": rng.standard_normal(2), "running_var": rng.uniform(0.5, 2.0, 2)}
    return Sample((rng.standard_normal((2, 2, 3)),), {**running, "use_input_stats": False})


@case("layer_norm", torch="torch.nn.functional.layer_norm")
def _layer_norm(rng: np.random.Generator) -> Sample:
    shape = [(4,), (2, 3), (3, 1)][int(rng.integers(3))]
    x = rng.standard_normal((int(rng.integers(1, 4)), 2, *shape))
    affine = _affine(rng, *shape) if rng.integers(3) else (None, None)
    return Sample((x, shape, *affine), {"eps": 0.01})


@case("layer_norm", variant="one", torch="torch.nn.functional.layer_norm", flat="one value is its own mean")
def _layer_norm_one(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal((3, 1)), (1,), *_affine(rng, 1)), {"eps": 0.1})


@case("group_norm", torch="torch.nn.functional.group_norm", order=3)
def _group_norm(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal([(2, 4), (2, 4, 3), (1, 4, 2, 2)][int(rng.integers(3))]) * 2 + 1
    affine = _affine(rng, 4) if rng.integers(3) else (None, None)
    return Sample((x, int(rng.choice([1, 2])), *affine), {"eps": 0.1})


@case("local_response_norm", torch="torch.nn.functional.local_response_norm")
def _local_response_norm(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal([(2, 5, 3), (1, 3, 2, 2), (2, 1, 2)][int(rng.integers(3))])
    return Sample((x, int(rng.integers(1, 6))), {"alpha": 0.5, "beta": 0.75, "k": float(rng.choice([1.0, 2.0]))})


@case("local_response_norm", variant="paper")
def _local_response_norm_paper(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal((2, 6, 2)), 5), {"alpha": 0.1, "k": 2.0, "alpha_over_n": False})


@case("local_response_norm", variant="penalty", call=penalised("local_response_norm"))
def _local_response_norm_penalty(rng: np.random.Generator) -> Sample:
    return Sample((rng.standard_normal((1, 4, 2)), 3), {"alpha": 0.5, "k": 2.0})


@case("local_contrast_norm", kinks=True)
def _local_contrast_norm(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal((1, int(rng.integers(1, 3)), 4, int(rng.integers(3, 6))))
    return Sample((x, int(rng.choice([3, 5]))), {"sigma": 1.0})


@case("normalize", torch="torch.nn.functional.normalize")
def _normalize(rng: np.random.Generator) -> Sample:
    x = rng.standard_normal((3, 4, 2))
    return Sample((x,), {"dim": int(rng.integers(-3, 3))})


@case("normalize", variant="p", torch="torch.nn.functional.normalize", kinks=True)
def _normalize_p(rng: np.random.Generator) -> Sample:
    x = rng.permutation(np.arange(1, 13) * 0.2).reshape(3, 4) * rng.choice([-1.0, 1.0], (3, 4))
    return Sample((x,), {"p": float(rng.choice([1.0, 1.5, 3.0, np.inf])), "dim": int(rng.integers(0, 2))})
