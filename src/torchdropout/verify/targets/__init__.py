"""Makes a `Subject` from a TARGET: a string, class, instance or function.

Three steps. *Load*: from `package.module:Attribute` or `path/file.py:Attribute` to an object.
*Read*: from the object's signature to the arguments that carry the input, p and the mode.
*Subject*: from the object and its reading to something that can be built at a p and called.
"""

from ._resolve import resolve as resolve
from ._roles import EVAL_NAMES as EVAL_NAMES
from ._roles import KEEP_NAMES as KEEP_NAMES
from ._roles import P_NAMES as P_NAMES
from ._roles import PART_NAMES as PART_NAMES
from ._roles import TRAINING_NAMES as TRAINING_NAMES
