"""The update rules as the papers write them: NumPy loops in float64 over steps and variables."""

import numpy as np


def lars(weights, gradients, excluded, rate, momentum, decay, trust, nesterov, excluded_rate=1.0, clipped=False):
    """`gradients(t, weights)` gives the gradients of step t; returns the weights after each step."""
    weights, history = [w.copy() for w in weights], []
    velocities = [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            w, rate_here = weights[i], learning_rate
            if excluded[i]:
                rate_here *= excluded_rate
            else:
                g = g + decay * w
                w_norm, g_norm = np.linalg.norm(w), np.linalg.norm(g)
                if w_norm > 0 and g_norm > 0:
                    ratio = trust * w_norm / g_norm
                    ratio = min(ratio / learning_rate, 1) if clipped and learning_rate else ratio
                    rate_here = learning_rate * ratio
            step = rate_here * g
            velocities[i] = momentum * velocities[i] + step
            weights[i] = w - (momentum * velocities[i] + step if nesterov else velocities[i])
        history.append([w.copy() for w in weights])
    return history


def sgd(weights, gradients, excluded, rate, momentum, decay, nesterov, constant=None):
    """`constant` has the rate of a variable that does not follow `rate`, by its place."""
    weights, history = [w.copy() for w in weights], []
    velocities = [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            g = g if excluded[i] else g + decay * weights[i]
            rate_here = (constant or {}).get(i, learning_rate)
            velocities[i] = momentum * velocities[i] + rate_here * g
            step = momentum * velocities[i] + rate_here * g if nesterov else velocities[i]
            weights[i] = weights[i] - step
        history.append([w.copy() for w in weights])
    return history


def adam(weights, gradients, excluded, rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """The decay is in the gradient."""
    weights, history = [w.copy() for w in weights], []
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            g = g if excluded[i] else g + decay * weights[i]
            means[i] = beta_1 * means[i] + (1 - beta_1) * g
            squares[i] = beta_2 * squares[i] + (1 - beta_2) * g**2
            alpha = learning_rate * np.sqrt(1 - beta_2 ** (t + 1)) / (1 - beta_1 ** (t + 1))
            weights[i] = weights[i] - alpha * means[i] / (np.sqrt(squares[i]) + epsilon)
        history.append([w.copy() for w in weights])
    return history


def adamw(weights, gradients, excluded, rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """`decay` is a sequence, one value a step."""
    weights, history = [w.copy() for w in weights], []
    means, squares = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            means[i] = beta_1 * means[i] + (1 - beta_1) * g
            squares[i] = beta_2 * squares[i] + (1 - beta_2) * g**2
            alpha = learning_rate * np.sqrt(1 - beta_2 ** (t + 1)) / (1 - beta_1 ** (t + 1))
            shrunk = weights[i] if excluded[i] else weights[i] * (1 - learning_rate * decay[t])
            weights[i] = shrunk - alpha * means[i] / (np.sqrt(squares[i]) + epsilon)
        history.append([w.copy() for w in weights])
    return history


def warmup_cosine(t, peak, steps, warmup, final, start=0.0):
    if t < warmup:
        return start + (peak - start) * t / warmup
    done = min(1.0, (t - warmup) / (steps - warmup))
    return final + (peak - final) * (1 + np.cos(np.pi * done)) / 2
