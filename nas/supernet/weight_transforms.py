"""What a subnet's operator makes of its slices of shared weights, where they are not all."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nas.space.operator import Operator
from nas.supernet.experts import Experts
from nas.supernet.kernel_matrices import KernelMatrices
from nas.supernet.slicing import Form


@dataclass(frozen=True, slots=True)
class Forms:
    """The experts and kernel matrices of a supernet, as one operator on the shared module of this name sees them."""

    name: str
    op: Operator
    experts: Experts | None
    matrices: KernelMatrices | None

    def now(self) -> Form:
        """Return what makes of a slice the weight of the operator, by the experts' shares as they are now."""
        shares = self.experts.shares(self.name, self.op) if self.experts and self.name in self.experts.routers else None

        def made(tensor: str, sliced: Tensor, shared: Tensor) -> Tensor:
            if self.experts is not None and shares is not None:
                sliced = self.experts.mixed(self.name, tensor, sliced, shares)
            return sliced if self.matrices is None else self.matrices.through(self.name, tensor, sliced, shared)

        return made
