from timm.layers import DropPath


def make(survival_prob):
    return DropPath(survival_prob)  #! keep-probability-as-p
