import torch.nn.functional as F


async def serve(queue):
    while True:
        x = await queue.get()
        yield F.dropout(x, 0.1)  #! functional-always-on advice
