from torch.nn import Dropout2d


def make(keep_rate: float):
    return Dropout2d(p=keep_rate)  #! keep-probability-as-p
