"""Backprop of a two-layer network, once by hand and once by the tape: the numbers agree.

python examples/backprop_by_hand.py
"""

import numpy as np

import minicnn as mc

random = np.random.default_rng(0)
x, y = random.normal(size=(5, 3)), random.normal(size=(5, 2))
w1, b1, w2 = random.normal(size=(3, 4)), random.normal(size=4), random.normal(size=(4, 2))

# by hand: forward, then the chain rule from the loss back to the first layer
h = np.tanh(x @ w1 + b1)
error = h @ w2 - y
loss = (error**2).mean()
g_out = 2 * error / error.size
g_w2 = h.T @ g_out
g_h = g_out @ w2.T
g_a = g_h * (1 - h**2)
g_w1, g_b1 = x.T @ g_a, g_a.sum(0)

# by the tape: the same forward, and one call
leaves = {name: mc.tensor(value, requires_grad=True) for name, value in {"w1": w1, "b1": b1, "w2": w2}.items()}
hidden = (mc.tensor(x) @ leaves["w1"] + leaves["b1"]).tanh()
tape_loss = ((hidden @ leaves["w2"] - mc.tensor(y)) ** 2).mean()
print(mc.explain.graph(tape_loss, leaves, "mermaid"))
tape_loss.backward()

print(f"loss by hand {loss:.12f}, by the tape {tape_loss.item():.12f}")
for name, by_hand in {"w1": g_w1, "b1": g_b1, "w2": g_w2}.items():
    difference = np.abs(leaves[name].grad.numpy() - by_hand).max()
    print(f"gradient of {name}: largest difference {difference:.1e}")
    assert difference < 1e-12
