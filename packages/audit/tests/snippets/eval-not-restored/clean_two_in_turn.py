import torch
import torch.nn.functional as F


def pretrain(generator, critic, loader, optimizer=None):
    generator.eval()
    if optimizer is None:
        critic.eval()
    else:
        critic.train()
    for x, y in loader:
        with torch.no_grad():
            fake = generator(x)
        loss = F.mse_loss(critic(fake), y)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fit(generator, critic, loader, valid):
    for_critic = torch.optim.Adam(critic.parameters())
    for epoch in range(10):
        pretrain(generator, critic, loader, for_critic)
        pretrain(generator, critic, valid)
    for_generator = torch.optim.Adam(generator.parameters())
    generator.train()
    for x, y in loader:
        for_generator.zero_grad()
        loss = F.mse_loss(critic(generator(x)), y)
        loss.backward()
        for_generator.step()
