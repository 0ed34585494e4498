"""Cases of products of matrices and tensors."""

from typing import Any

import numpy as np

from minicnn.testing.cases import draws
from minicnn.testing.cases.case import Sample, case

Rng = np.random.Generator


def _product(op: str, *shapes: tuple[int, ...], variant: str = "", torch: str = "", **options: Any) -> None:
    """A case of fixed shapes."""
    case(op, variant=variant, torch=torch or f"torch.{op}", **options)(
        lambda rng: Sample(tuple(draws.normal(rng, s) for s in shapes))
    )


_product("matmul", (2, 3), (3, 4), order=3)
_product("matmul", (3,), (3,), variant="vectors")
_product("matmul", (2, 3), (3,), variant="matrix-vector")
_product("matmul", (3,), (2, 3, 4), variant="vector-stack")
_product("matmul", (2, 1, 3, 2), (3, 2, 4), variant="stacks")
_product("matmul", (2, 3, 2), (2, 4), variant="stack-matrix")
_product("matmul", (3, 2), (2, 2, 4), variant="matrix-stack")
_product("mm", (2, 3), (3, 1))
_product("bmm", (2, 2, 3), (2, 3, 1))
_product("dot", (4,), (4,))
_product("outer", (2,), (3,))
_product("linear", (3, 4), (2, 4), (2,), torch="torch.nn.functional.linear")
_product("linear", (3, 4), (2, 4), variant="no-bias", torch="torch.nn.functional.linear")
_product("linear", (4,), (2, 4), (2,), variant="vector", torch="torch.nn.functional.linear")
_product("linear", (1, 3), (1, 3), (1,), variant="one", torch="torch.nn.functional.linear")
_product("linear", (2, 3, 4), (2, 4), (2,), variant="stack", torch="torch.nn.functional.linear")
_product("bilinear", (3, 2), (3, 4), (2, 2, 4), (2,), torch="torch.nn.functional.bilinear")
_product("bilinear", (2, 1, 2), (2, 1, 3), (2, 2, 3), variant="stack", torch="torch.nn.functional.bilinear")

for _equation, _shapes in {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "bij,bkj": ((2, 3, 2), (2, 3, 2)),
    "i,j->ji": ((2,), (3,)),
    "ijk->k": ((2, 3, 4),),
    "ij->ji": ((2, 3),),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "iij,j->": ((2, 2, 3), (3,)),
    "ij,kl->i": ((2, 3), (2, 2)),
    "...ij,jk->...ik": ((2, 1, 2, 3), (3, 2)),
    "...i,...i->...": ((2, 1, 3), (4, 3)),
    "ab,bc,cd->ad": ((2, 3), (3, 2), (2, 4)),
    "i,i,i->i": ((3,), (3,), (3,)),
}.items():
    case("einsum", variant=_equation, torch="torch.einsum")(
        lambda rng, e=_equation, shapes=_shapes: Sample((e, *(draws.normal(rng, s) for s in shapes)))  # type: ignore[misc]
    )
