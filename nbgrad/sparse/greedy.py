"""Greedy colourings: loops over the entries of sparse matrices, compiled by Numba where there are many.

A matrix arrives as the arrays `indptr` and `indices` of its rows (CSR), and `into`, `at`, those of its columns (CSC).
Colours count from 0; -1 means that there is none yet.

Gebremedhin, Manne & Pothen 2005, What color is your Jacobian? Graph coloring for computing derivatives, SIAM Review
47(4); Gebremedhin, Tarafdar, Manne & Pothen 2007, New acyclic and star coloring algorithms with application to
computing Hessians, SIAM Journal on Scientific Computing 29(3); incidence degree: Coleman & More 1983.
"""

import functools

import numpy

#: Steps of the loops from which on compiling them is worth it.
COMPILED_FROM = 100_000


def coloured_columns(indptr, indices, into, at, order):
    """Colours of columns, so that columns with a row in common have different ones; -1 for empty columns."""
    colours = numpy.full(len(into) - 1, -1, numpy.int32)
    taken = numpy.full(len(into), -1, numpy.int32)
    for column in order:
        if into[column] == into[column + 1]:
            continue
        for k in range(into[column], into[column + 1]):
            row = at[k]
            for e in range(indptr[row], indptr[row + 1]):
                other = colours[indices[e]]
                if other >= 0:
                    taken[other] = column
        colour = 0
        while taken[colour] == column:
            colour += 1
        colours[column] = colour
    return colours


def degrees(indptr, indices, into, at):
    """With how many other columns each column has a row in common."""
    count = len(into) - 1
    found = numpy.zeros(count, numpy.int32)
    seen = numpy.full(count, -1, numpy.int32)
    for column in range(count):
        seen[column] = column
        for k in range(into[column], into[column + 1]):
            row = at[k]
            for e in range(indptr[row], indptr[row + 1]):
                other = indices[e]
                if seen[other] != column:
                    seen[other] = column
                    found[column] += 1
    return found


def by_incidence(indptr, indices, into, at, degree, start):
    """Columns in an order in which each has as many neighbours as possible before it.

    `start` has the columns by degree, the largest last.
    """
    count = len(into) - 1
    order = numpy.empty(count, numpy.int32)
    weight = numpy.zeros(count, numpy.int32)  # neighbours that have a place in the order; -1: it has one itself
    seen = numpy.full(count, -1, numpy.int32)
    # columns of one weight are a doubly linked list; within the first list those of the largest degree come first
    most = 0
    for column in range(count):
        most = max(most, degree[column])
    head = numpy.full(most + 2, -1, numpy.int32)
    behind = numpy.full(count, -1, numpy.int32)
    before = numpy.full(count, -1, numpy.int32)
    for column in start:
        behind[column] = head[0]
        if head[0] >= 0:
            before[head[0]] = column
        head[0] = column
    high = 0
    for place in range(count):
        while head[high] < 0:
            high -= 1
        column = head[high]
        head[high] = behind[column]
        if behind[column] >= 0:
            before[behind[column]] = -1
        weight[column] = -1
        order[place] = column
        seen[column] = column
        for k in range(into[column], into[column + 1]):
            row = at[k]
            for e in range(indptr[row], indptr[row + 1]):
                other = indices[e]
                if seen[other] == column or weight[other] < 0:
                    continue
                seen[other] = column
                w = weight[other]
                if before[other] >= 0:
                    behind[before[other]] = behind[other]
                else:
                    head[w] = behind[other]
                if behind[other] >= 0:
                    before[behind[other]] = before[other]
                weight[other] = w + 1
                before[other] = -1
                behind[other] = head[w + 1]
                if head[w + 1] >= 0:
                    before[head[w + 1]] = other
                head[w + 1] = other
                high = max(high, w + 1)
    return order


def coloured_stars(indptr, indices, reverse, order):
    """Colours of the vertices of a graph: neighbours differ, and every path of four vertices has three colours.

    `reverse` has for each entry (i, j) the place of (j, i).
    """
    count = len(indptr) - 1
    colours = numpy.full(count, -1, numpy.int32)
    taken = numpy.full(count + 1, -1, numpy.int32)
    first_of = numpy.full(count + 1, -1, numpy.int32)  # for a colour, the first neighbour of that colour
    met_by = numpy.full(count + 1, -1, numpy.int32)  # and the vertex whose neighbour it is
    treated = numpy.full(count, -1, numpy.int32)
    hub = numpy.zeros(len(indices), numpy.bool_)  # of (i, j): whether j has other neighbours of the colour of i
    for v in order:
        for e in range(indptr[v], indptr[v + 1]):
            w = indices[e]
            c = colours[w]
            if w == v or c < 0:
                continue
            taken[c] = v
            if met_by[c] != v:
                met_by[c] = v
                first_of[c] = w
                for f in range(indptr[w], indptr[w + 1]):  # path v, w, x, y, where w and y have one colour
                    x = indices[f]
                    if hub[f] and x != v and colours[x] >= 0:
                        taken[colours[x]] = v
                continue
            for u in (first_of[c], w):  # path w, v, u, x, where w and u have one colour
                if treated[u] == v:
                    continue
                treated[u] = v
                for f in range(indptr[u], indptr[u + 1]):
                    x = indices[f]
                    if x != u and colours[x] >= 0:
                        taken[colours[x]] = v
        colour = 0
        while taken[colour] == v:
            colour += 1
        colours[v] = colour
        for e in range(indptr[v], indptr[v + 1]):
            x = indices[e]
            if x == v:
                continue
            same = 0
            for f in range(indptr[x], indptr[x + 1]):
                if indices[f] != x and colours[indices[f]] == colour:
                    same += 1
            if same > 1:
                for f in range(indptr[x], indptr[x + 1]):
                    if indices[f] != x and colours[indices[f]] == colour:
                        hub[reverse[f]] = True
    return colours


@functools.cache
def _compiled(function):
    import numba

    return numba.njit(cache=False)(function)


def run(function, steps, *arguments):
    """Call one of these functions, compiled if it takes many steps."""
    return (_compiled(function) if steps >= COMPILED_FROM else function)(*arguments)
