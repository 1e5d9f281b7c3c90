from torchvision.ops import StochasticDepth


def make(survival_prob):
    return StochasticDepth(survival_prob, "row")  #! keep-probability-as-p
