"""Reads a source file and resolves its names; imports and runs nothing."""

from .code import Code as Code
from .code import Found as Found
from .code import Project as Project
from .definitions import UNKNOWN as UNKNOWN
from .definitions import Assigned as Assigned
from .definitions import Call as Call
from .definitions import Class as Class
from .definitions import Function as Function
from .definitions import Pattern as Pattern
from .definitions import Unknown as Unknown
from .signatures import ATTENTION as ATTENTION
from .signatures import FUNCTIONAL_OFF as FUNCTIONAL_OFF
from .signatures import FUNCTIONAL_ON as FUNCTIONAL_ON
from .signatures import FURTHER_RATES as FURTHER_RATES
from .signatures import MODULES as MODULES
from .signatures import MULTI_HEAD as MULTI_HEAD
from .signatures import OTHER_MODULES as OTHER_MODULES
from .signatures import OTHER_OFF as OTHER_OFF
from .signatures import OTHER_ON as OTHER_ON
from .signatures import RATES as RATES
from .signatures import RNNS as RNNS
from .signatures import SDPA as SDPA
from .tree import Place as Place
from .words import is_pretrained as is_pretrained
from .words import speaks_of_training as speaks_of_training
from .words import words as words
