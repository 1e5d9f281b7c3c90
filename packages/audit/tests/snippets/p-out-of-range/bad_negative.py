from torch.nn import AlphaDropout

drop = AlphaDropout(-0.1)  #! p-out-of-range
