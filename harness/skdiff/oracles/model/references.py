"""References to sockets: taken if there is one left, and given back (include/linux/refcount.h, sock_gen_put())."""

from skdiff.cases.scenario import AT_TAKEN, AT_TAKING, INT_MAX, NONE, REFCOUNT_SATURATED
from skdiff.oracles.model.state import State


def refcount_inc_not_zero(state: State, index: int) -> bool:
    """include/linux/refcount.h __refcount_add_not_zero(): takes a reference unless there is none left, by the count
    that is there when it is raised. One that would overflow, or has, is pinned for good: the object leaks, with a
    warning, and is never freed.
    """
    count = NONE
    while count != state.refcnt[index]:
        count = state.refcnt[index]
        if not count:
            state.note("refcount_inc_not_zero", 0, 0)
            return False
        state.visit(AT_TAKING, index)
    state.refcnt[index] = (count + 1) & 0xFFFFFFFF
    state.visit(AT_TAKEN, index)
    if count >= INT_MAX:
        state.refcnt[index] = REFCOUNT_SATURATED
        state.warn("refcount_warn_saturate", "refcount_t: saturated; leaking memory")
    state.note("refcount_inc_not_zero", 1, state.refcnt[index])
    return True


def sock_gen_put(state: State, index: int) -> None:
    """sock_gen_put(): gives a reference back; whose last one it was is freed, and a request's listener is not known any
    more. A pinned count stays pinned, and one that is 0 is, with a warning.
    """
    if not 1 <= state.refcnt[index] <= INT_MAX:
        state.refcnt[index] = REFCOUNT_SATURATED
        state.warn("refcount_warn_saturate", "refcount_t: underflow; use-after-free")
    else:
        state.refcnt[index] -= 1
        if not state.refcnt[index]:
            state.freed |= 1 << index
            state.listener[index] = NONE
    state.note("sock_gen_put", index, state.refcnt[index])
