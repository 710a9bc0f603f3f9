//! Matrix products on matrices that lie anywhere in a slice: heads of an attention are read and written where they are.

/// A matrix within numbers.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

/// One that can be written to.
pub(super) struct MatrixMut<'a> {
    numbers: &'a mut [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows of `row_stride` numbers, of which the first `columns` belong to the matrix.
    ///
    /// # Panics
    /// Where it is larger than the numbers.
    pub(super) fn new(numbers: &'a [f32], shape: [usize; 2], row_stride: usize) -> Matrix<'a> {
        assert_inside(numbers.len(), shape, [row_stride, 1]);
        Matrix {
            numbers,
            shape,
            strides: [row_stride, 1],
        }
    }

    /// Rows as columns.
    pub(super) fn transposed(self) -> Matrix<'a> {
        let ([rows, columns], [by_row, by_column]) = (self.shape, self.strides);
        Matrix {
            numbers: self.numbers,
            shape: [columns, rows],
            strides: [by_column, by_row],
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// As [`Matrix::new`].
    pub(super) fn new(
        numbers: &'a mut [f32],
        shape: [usize; 2],
        row_stride: usize,
    ) -> MatrixMut<'a> {
        assert_inside(numbers.len(), shape, [row_stride, 1]);
        MatrixMut {
            numbers,
            shape,
            strides: [row_stride, 1],
        }
    }

    /// Becomes `scale · a · b`, on this thread.
    pub(super) fn set(mut self, scale: f32, a: Matrix<'_>, b: Matrix<'_>) {
        product(&mut self, false, scale, a, b, gemm::Parallelism::None);
    }

    /// Grows by `scale · a · b`, on this thread.
    pub(super) fn add(mut self, scale: f32, a: Matrix<'_>, b: Matrix<'_>) {
        product(&mut self, true, scale, a, b, gemm::Parallelism::None);
    }

    /// As [`MatrixMut::set`], on all threads; their number changes no bit.
    pub(super) fn set_in_parallel(mut self, scale: f32, a: Matrix<'_>, b: Matrix<'_>) {
        product(&mut self, false, scale, a, b, gemm::Parallelism::Rayon(0));
    }

    /// As [`MatrixMut::add`], on all threads; their number changes no bit.
    pub(super) fn add_in_parallel(mut self, scale: f32, a: Matrix<'_>, b: Matrix<'_>) {
        product(&mut self, true, scale, a, b, gemm::Parallelism::Rayon(0));
    }
}

fn assert_inside(len: usize, [rows, columns]: [usize; 2], [by_row, by_column]: [usize; 2]) {
    assert!(rows > 0 && columns > 0, "a matrix has numbers");
    let last = (rows - 1) * by_row + (columns - 1) * by_column;
    assert!(
        last < len && by_row >= columns,
        "a matrix of {rows} rows of {columns} lies within its {len} numbers"
    );
}

/// `to = keeps·to + scale · a · b`
#[expect(unsafe_code, reason = "the kernels of `gemm` take pointers")]
fn product(
    to: &mut MatrixMut<'_>,
    keeps: bool,
    scale: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: gemm::Parallelism,
) {
    let ([m, inner], [inner_b, n]) = (a.shape, b.shape);
    assert_eq!(inner, inner_b, "as many columns as rows");
    assert_eq!(to.shape, [m, n], "the result has its shape");
    let [to_row, to_column] = to.strides.map(|stride| stride as isize);
    let [a_row, a_column] = a.strides.map(|stride| stride as isize);
    let [b_row, b_column] = b.strides.map(|stride| stride as isize);
    // SAFETY: every number of the three matrices lies within its slice, as their constructors have checked; rows do not
    // overlap, and `to` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            inner,
            to.numbers.as_mut_ptr(),
            to_column,
            to_row,
            keeps,
            a.numbers.as_ptr(),
            a_column,
            a_row,
            b.numbers.as_ptr(),
            b_column,
            b_row,
            1.0,
            scale,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_multiplied_where_they_lie() {
        // 2 × 3 within rows of 5, times the transpose of 4 × 3 within rows of 4.
        let a: Vec<f32> = (0..10).map(|nth| nth as f32).collect();
        let b: Vec<f32> = (0..16).map(|nth| (nth % 7) as f32).collect();
        let mut to = vec![1.0; 12];
        let (left, right) = (Matrix::new(&a, [2, 3], 5), Matrix::new(&b, [4, 3], 4));
        MatrixMut::new(&mut to, [2, 4], 6).add(2.0, left, right.transposed());
        for row in 0..2 {
            for column in 0..4 {
                let dot: f32 = (0..3).map(|i| a[row * 5 + i] * b[column * 4 + i]).sum();
                assert_eq!(to[row * 6 + column], 1.0 + 2.0 * dot);
            }
        }
        assert_eq!(to[4], 1.0, "what is between the rows stays");
    }

    #[test]
    #[should_panic(expected = "lies within its 9 numbers")]
    fn a_matrix_beyond_its_numbers_is_refused() {
        Matrix::new(&[0.0; 9], [2, 5], 5);
    }
}
