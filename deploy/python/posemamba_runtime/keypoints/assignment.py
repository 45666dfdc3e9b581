"""The cheapest way to give each row a column of its own.

The Hungarian method by shortest augmenting paths, O(rows^2 columns): enough for the people in one
picture, where an assignment library would be the only compiled dependency besides NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def assign(cost: Floats) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, as many as there are rows or columns.

    Args:
        cost: (rows, columns), finite.
    """
    rows, columns = cost.shape
    if rows > columns:
        return sorted((row, column) for column, row in assign(cost.T))
    if rows == 1:
        return [(0, int(cost[0].argmin()))] if columns else []
    owner = np.full(columns + 1, -1)  # row of each column; the last column starts a path
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    for start in range(rows):
        column, owner[columns] = columns, start
        distance, before = np.full(columns, np.inf), np.full(columns, columns)
        open_columns = np.ones(columns, bool)
        visited = [columns]
        while owner[column] >= 0:
            row = owner[column]
            reduced = cost[row] - row_price[row] - column_price[:columns]
            nearer = open_columns & (reduced < distance)
            distance[nearer], before[nearer] = reduced[nearer], column
            column = int(np.where(open_columns, distance, np.inf).argmin())
            step = distance[column]
            row_price[owner[visited]] += step
            column_price[visited] -= step
            distance[open_columns] -= step
            open_columns[column] = False
            visited.append(column)
        while column != columns:  # turn the path round
            owner[column] = owner[before[column]]
            column = int(before[column])
    return sorted((int(owner[column]), column) for column in range(columns) if owner[column] >= 0)
