import torch
import torch.nn.functional as F

x = torch.randn(8, 8)
print(F.dropout(x, p=0.5))  #! functional-always-on advice
