from torch import nn

drop = nn.Dropout(1.0)  #! p-one advice
