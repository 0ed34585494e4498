"""Write an op, check its gradients, and see the checker catch a wrong one.

python examples/your_own_op.py
"""

import numpy as np

import minicnn as mc
from minicnn.testing.gradcheck import gradcheck


class Softsign(mc.Function):
    """y = x / (1 + |x|), with dy/dx = 1 / (1 + |x|)^2."""

    def forward(self, x):
        self.keep_inputs(0)
        return x / (1 + self.xp.abs(x))

    def backward(self, gy):
        (x,) = self.kept_inputs()
        return gy / (1 + mc.ops.abs(x)) ** 2


class WrongSoftsign(Softsign):
    """Forgets the square."""

    def backward(self, gy):
        (x,) = self.kept_inputs()
        return gy / (1 + mc.ops.abs(x))


def softsign(x):
    return Softsign()(x)


def wrong_softsign(x):
    return WrongSoftsign()(x)


point = [np.array([-2.0, -0.5, 0.7, 3.0])]
print(gradcheck(softsign, point, order=2))
print(gradcheck(wrong_softsign, point))
