"""A restricted Boltzmann machine: no autograd, in-place updates of plain tensors."""

import numpy as np
import torch


class RBM:
    def __init__(self, num_visible, num_hidden, k, rng, learning_rate=0.1, momentum_coefficient=0.5):
        self.k, self.rng = k, rng
        self.learning_rate, self.momentum_coefficient = learning_rate, momentum_coefficient
        self.weights = torch.as_tensor(rng.randn(num_visible, num_hidden) * 0.1, dtype=torch.float32)
        self.visible_bias = torch.ones(num_visible) * 0.5
        self.hidden_bias = torch.zeros(num_hidden)
        self.weights_momentum = torch.zeros(num_visible, num_hidden)

    def draw(self, p):
        return (p >= torch.from_numpy(self.rng.rand(*p.shape)).float()).float()

    def sample_hidden(self, visible):
        return torch.sigmoid(torch.matmul(visible, self.weights) + self.hidden_bias)

    def sample_visible(self, hidden):
        return torch.sigmoid(torch.matmul(hidden, self.weights.t()) + self.visible_bias)

    def contrastive_divergence(self, input_data):
        positive = self.sample_hidden(input_data)
        activations = self.draw(positive)
        positive_associations = torch.matmul(input_data.t(), activations)
        for _ in range(self.k):
            visible = self.sample_visible(activations)
            hidden = self.sample_hidden(visible)
            activations = self.draw(hidden)
        negative_associations = torch.matmul(visible.t(), hidden)
        self.weights_momentum *= self.momentum_coefficient
        self.weights_momentum += positive_associations - negative_associations
        batch_size = input_data.size(0)
        self.weights += self.weights_momentum * self.learning_rate / batch_size
        self.visible_bias += torch.sum(input_data - visible, dim=0) * self.learning_rate / batch_size
        self.hidden_bias.add_(torch.sum(positive - hidden, dim=0), alpha=self.learning_rate / batch_size)
        self.weights -= self.weights * 1e-3
        return torch.sum((input_data - visible) ** 2)


def main():
    rng = np.random.RandomState(0)
    data = torch.from_numpy((rng.rand(30, 12) < 0.3).astype(np.float32))
    data[:, :6][data[:, 0] > 0] = 1.0
    rbm, errors = RBM(12, 6, 2, rng), []
    for _ in range(6):
        epoch_error = 0.0
        for batch in torch.chunk(data, 3):
            epoch_error += rbm.contrastive_divergence(batch).item()
        errors.append(epoch_error)
    return errors, [rbm.weights, rbm.visible_bias, rbm.hidden_bias]
