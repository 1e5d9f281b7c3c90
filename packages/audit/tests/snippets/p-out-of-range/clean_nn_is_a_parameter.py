def make(nn):
    return nn.Dropout(50)
