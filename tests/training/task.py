"""A small training run that touches everything a checkpoint must hold; also run as a process by the kill test."""

import sys
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn import nn, optim
from minicnn.core import rng
from minicnn.core.tensor import Tensor
from minicnn.data import ArrayDataset, DataLoader, RandomCrop
from minicnn.metrics import accuracy
from minicnn.training import Trainer

EPOCHS, BATCH, ITEMS = 3, 8, 60  # 8 steps an epoch, the last batch is smaller


class Noise(nn.Module):
    """Draws from a global stream in training, as dropout does, and keeps a running mean, as batch norm does."""

    def __init__(self) -> None:
        self.register_buffer("mean", mc.tensor(np.zeros(16, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.mean.data[...] = 0.9 * self.mean.data + 0.1 * x.data.mean(0)
        return x + Tensor((0.1 * rng.stream("noise").normal(x.shape)).astype(np.float32))


def cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    onehot = Tensor(np.eye(10, dtype=np.float32)[targets.numpy()])
    return -(mc.ops.log_softmax(output, 1) * onehot).sum() / len(targets)


def make(out=None, *, workers=0, seed=3, **options):
    """A trainer and its two loaders, from nothing."""
    mc.manual_seed(seed)
    data = np.random.default_rng(0)
    images = data.normal(size=(ITEMS, 1, 10, 10)).astype(np.float32)
    labels = data.integers(0, 10, ITEMS)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), Noise(), nn.Tanh(), nn.Linear(16, 10))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    average = optim.EMA(model.parameters(), decay=0.9)
    options = {
        "checkpoint_every": 3,
        "log_every": 1,
        "progress": "none",
        "curves": False,
        "metrics": {"accuracy": accuracy},
    } | options
    callbacks = [lambda event, _: average.update() if event == "step" else None, *options.pop("callbacks", ())]
    trainer = Trainer(
        model,
        optimizer,
        cross_entropy,
        schedule=optim.StepLR(optimizer, step_size=5, gamma=0.7),
        schedule_per="step",
        out=out,
        callbacks=callbacks,
        also={"average": average},
        **options,
    )
    train = DataLoader(ArrayDataset(images, labels, transform=RandomCrop(8)), BATCH, shuffle=True, num_workers=workers)
    held_out = DataLoader(ArrayDataset(images[:20, :, 1:9, 1:9], labels[:20]), 7)
    return trainer, train, held_out


def fingerprint(trainer):
    """Every number that a finished run ends with."""
    parts = {name: part.state_dict() for name, part in trainer._parts.items()}
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history]
    return repr(_bytes([parts, rng.get_state(), history, trainer.step, trainer.epoch]))


def _bytes(value):
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.tobytes().hex()
    if isinstance(value, dict):
        return {k: _bytes(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_bytes(v) for v in value]
    return value


if __name__ == "__main__":
    started = Path(sys.argv[3])
    trainer, train, held_out = make(sys.argv[1], workers=1, checkpoint_every=1, callbacks=[lambda *_: started.touch()])
    trainer.fit(train, int(sys.argv[2]), evaluate=held_out, resume=True)
    sys.stdout.write(fingerprint(trainer))
