import torch


def distil(student, teacher, loader, optimizer):
    student.train()
    for x in loader:
        # The teacher is not trained: it stays in eval.
        teacher.eval()
        with torch.no_grad():
            target = teacher(x)
        loss = (student(x) - target).square().mean()
        loss.backward()
        optimizer.step()
