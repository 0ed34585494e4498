"""Optimisers as scalar loops: one weight after the other, Python floats, formulas as printed."""

import math


def sgd(w, gradient, steps, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    w, v = list(w), [None] * len(w)
    for _ in range(steps):
        g = gradient(w)
        for i in range(len(w)):
            d = g[i] + weight_decay * w[i]
            if momentum:
                v[i] = d if v[i] is None else momentum * v[i] + (1 - dampening) * d
                d = d + momentum * v[i] if nesterov else v[i]
            w[i] = w[i] - lr * d
    return w


def adagrad(w, gradient, steps, lr, lr_decay=0.0, weight_decay=0.0, start=0.0, eps=1e-10):
    w, total = list(w), [start] * len(w)
    for t in range(1, steps + 1):
        g = gradient(w)
        for i in range(len(w)):
            d = g[i] + weight_decay * w[i]
            total[i] = total[i] + d**2
            w[i] = w[i] - lr / (1 + (t - 1) * lr_decay) * d / (math.sqrt(total[i]) + eps)
    return w


def adadelta(w, gradient, steps, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    w, squares, deltas = list(w), [0.0] * len(w), [0.0] * len(w)
    for _ in range(steps):
        g = gradient(w)
        for i in range(len(w)):
            d = g[i] + weight_decay * w[i]
            squares[i] = rho * squares[i] + (1 - rho) * d**2
            delta = -math.sqrt(deltas[i] + eps) / math.sqrt(squares[i] + eps) * d
            deltas[i] = rho * deltas[i] + (1 - rho) * delta**2
            w[i] = w[i] + lr * delta
    return w


def rmsprop(w, gradient, steps, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, inside=False):
    w = list(w)
    squares, means, velocity = [0.0] * len(w), [0.0] * len(w), [0.0] * len(w)
    for _ in range(steps):
        g = gradient(w)
        for i in range(len(w)):
            d = g[i] + weight_decay * w[i]
            squares[i] = alpha * squares[i] + (1 - alpha) * d**2
            spread = squares[i]
            if centered:
                means[i] = alpha * means[i] + (1 - alpha) * d
                spread = spread - means[i] ** 2
            root = math.sqrt(spread + eps) if inside else math.sqrt(spread) + eps
            velocity[i] = momentum * velocity[i] + d / root
            w[i] = w[i] - lr * velocity[i]
    return w


def adam(w, gradient, steps, lr, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False, amsgrad=False):
    w = list(w)
    first, second, largest = [0.0] * len(w), [0.0] * len(w), [0.0] * len(w)
    for t in range(1, steps + 1):
        g = gradient(w)
        for i in range(len(w)):
            d = g[i]
            if decoupled:
                w[i] = w[i] - lr * weight_decay * w[i]
            else:
                d = d + weight_decay * w[i]
            first[i] = b1 * first[i] + (1 - b1) * d
            second[i] = b2 * second[i] + (1 - b2) * d**2
            largest[i] = max(largest[i], second[i])
            top = largest[i] if amsgrad else second[i]
            w[i] = w[i] - lr * (first[i] / (1 - b1**t)) / (math.sqrt(top / (1 - b2**t)) + eps)
    return w


def lars(w, gradient, steps, lr, momentum=0.9, weight_decay=0.0, trust=0.001):
    w, v = list(w), [0.0] * len(w)
    for _ in range(steps):
        g = gradient(w)
        size = math.sqrt(sum(x**2 for x in w))
        slope = math.sqrt(sum(x**2 for x in g))
        rate = lr * trust * size / (slope + weight_decay * size)
        for i in range(len(w)):
            v[i] = momentum * v[i] + rate * (g[i] + weight_decay * w[i])
            w[i] = w[i] - v[i]
    return w


def quadratic_gradient(a):
    """Gradient A x of x'Ax / 2 for a symmetric matrix given as rows."""
    return lambda x: [sum(row[j] * x[j] for j in range(len(x))) for row in a]
