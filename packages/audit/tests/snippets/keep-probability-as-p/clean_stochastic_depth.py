from torchvision.ops import StochasticDepth, stochastic_depth


def make(survival_prob):
    return StochasticDepth(p=1 - survival_prob, mode="row")


def drop(x, survival_prob, training):
    return stochastic_depth(x, 1.0 - survival_prob, "row", training)
