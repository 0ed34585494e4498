// Which bin of which box an output of RoI pooling belongs to.
#pragma once

#include "split.cuh"

// i = ((box * groups + group) * rows + row) * columns + column, where a group is so many channels of one thread.
struct Place {
  i64 box;
  int channel, row, column;  // the first of `each` channels
  __device__ Place(i64 i, int channels, int rows, int columns, int each) {
    const Split across = split(i, columns), down = split(across.quotient, rows);
    const Split deep = split(down.quotient, (channels + each - 1) / each);
    box = deep.quotient;
    channel = deep.rest * each;
    row = down.rest;
    column = across.rest;
  }
};
