from .layers import LockedDropout


def make(keep_prob):
    return LockedDropout(keep_prob)
