from torch import nn

num_classes = 10
model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Linear(128, num_classes),
    nn.Dropout(0.5),  #! dropout-on-logits advice
)
