"""The update rules as the papers write them: NumPy loops in float64 over steps and variables."""

import numpy as np


def lars(weights, gradients, excluded, rate, momentum, decay, trust, nesterov):
    """`gradients(t, weights)` gives the gradients of step t; returns the weights after each step."""
    weights, history = [w.copy() for w in weights], []
    velocities = [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            w, ratio = weights[i], 1.0
            if not excluded[i]:
                g = g + decay * w
                w_norm, g_norm = np.linalg.norm(w), np.linalg.norm(g)
                if w_norm > 0 and g_norm > 0:
                    ratio = trust * w_norm / g_norm
            step = learning_rate * ratio * g
            velocities[i] = momentum * velocities[i] + step
            weights[i] = w - (momentum * velocities[i] + step if nesterov else velocities[i])
        history.append([w.copy() for w in weights])
    return history


def sgd(weights, gradients, excluded, rate, momentum, decay, nesterov):
    weights, history = [w.copy() for w in weights], []
    velocities = [np.zeros_like(w) for w in weights]
    for t, learning_rate in enumerate(rate):
        for i, g in enumerate(gradients(t, weights)):
            g = g if excluded[i] else g + decay * weights[i]
            velocities[i] = momentum * velocities[i] + learning_rate * g
            step = momentum * velocities[i] + learning_rate * g if nesterov else velocities[i]
            weights[i] = weights[i] - step
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


def warmup_cosine(t, peak, steps, warmup, final):
    if t < warmup:
        return peak * t / warmup
    done = min(1.0, (t - warmup) / (steps - warmup))
    return final + (peak - final) * (1 + np.cos(np.pi * done)) / 2
