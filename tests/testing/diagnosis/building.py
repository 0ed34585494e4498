"""Evidence from a plain NumPy pair, with nothing of the checker: unit cotangents and central differences."""

from dataclasses import dataclass, field

import numpy as np

from minicnn.testing.evidence import Evidence, JacobianPair


@dataclass
class Wrong:
    f: object
    backward: object
    inputs: list
    options: dict = field(default_factory=dict)
    by: int = 0


def evidence_of(pair, order=1):
    f, backward, options = pair.f, pair.backward, pair.options
    arrays = [np.array(a) for a in pair.inputs]
    labels = [f"input {i}" for i in range(len(arrays))]
    label = labels[pair.by]

    def outputs(values, changed=None):
        y = f(*values, **(options if changed is None else {**options, **changed}))
        return [np.asarray(v) for v in (y if isinstance(y, tuple) else (y,))]

    def value(replaced):
        changed = {k: v for k, v in replaced.items() if k in options}
        return outputs([replaced.get(name, a) for name, a in zip(labels, arrays, strict=True)], changed)[0]

    def gradient(v):
        ys = outputs(arrays)
        gys = (np.asarray(v, float).reshape(ys[0].shape), *(np.zeros(y.shape) for y in ys[1:]))
        g = backward(gys if len(ys) > 1 else gys[0], *[a.copy() for a in arrays], **options)
        g = g[pair.by] if isinstance(g, tuple) else g
        return None if g is None else np.asarray(g)

    x = arrays[pair.by].astype(float)
    y = value({})
    columns, rows = np.arange(x.size), np.arange(y.size)

    def numeric_at(replaced):
        base = np.array(replaced.get(label, x), float)
        result = np.zeros((y.size, x.size))
        h = 1e-3
        for j in columns:
            for k, c in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
                moved = base.copy()
                moved.reshape(-1)[j] += k * h
                result[:, j] += c * value({**replaced, label: moved}).reshape(-1) / (12 * h)
        return result

    numeric = numeric_at({})
    analytic = np.zeros_like(numeric)
    for i in rows:
        unit = np.zeros(y.size)
        unit[i] = 1
        g = gradient(unit)
        if g is not None:
            analytic[i] = g.reshape(-1)
    error = np.full(numeric.shape, 1e-10 * max(1.0, np.abs(numeric).max()))
    jacobians = JacobianPair(label, "output 0", order, x.shape, y.shape, columns, rows, analytic, numeric, error)
    named = {f"output {i}": v for i, v in enumerate(outputs(arrays))}
    return Evidence(jacobians, dict(zip(labels, arrays, strict=True)), named, gradient, value, numeric_at, options)
