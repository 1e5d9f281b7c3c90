from torchvision.ops import stochastic_depth


def drop(x, survival_prob, training):
    return stochastic_depth(x, survival_prob, "row", training)  #! keep-probability-as-p
