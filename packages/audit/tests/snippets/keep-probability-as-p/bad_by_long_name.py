import torch.nn.modules.dropout as dropout


def make(keep_prob):
    return dropout.Dropout3d(keep_prob)  #! keep-probability-as-p
