from torch.nn import functional as fn


def selu_block(x, w, p):
    return fn.alpha_dropout(fn.selu(x @ w), p)  #! functional-never-on advice
