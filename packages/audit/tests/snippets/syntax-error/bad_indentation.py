import torch.nn.functional as F


def forward(x):
return F.dropout(x)  #! syntax-error
