import torch.nn.functional as F


def run(model, x):
    return F.dropout(x, model.training)  #! training-passed-as-p
