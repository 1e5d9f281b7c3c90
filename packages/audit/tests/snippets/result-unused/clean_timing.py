import time

import torch.nn.functional as F


def seconds(x, p, training):
    # What is wanted is the time.
    start = time.perf_counter()
    for _ in range(100):
        F.dropout(x, p, training)
    return time.perf_counter() - start
