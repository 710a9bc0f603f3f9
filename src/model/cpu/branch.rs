//! A frozen matrix with a branch of low rank beside it: the branch is added to the product where that lies.

use burn::tensor::Tensor;
use burn_flex::Flex;

use super::gemm::{Matrix, MatrixMut};
use super::{flat, numbers, tensor};
use crate::model::kernels::{Branch, Kernels};

/// [`Kernels::adapted`]
pub(super) fn forward(
    x: Tensor<Flex, 2>,
    weight: &Tensor<Flex, 2>,
    branch: Branch<Flex>,
) -> Tensor<Flex, 2> {
    let [t, columns] = x.dims();
    let [rows, rank] = branch.b.dims();
    let (x, thin) = (flat(x.clone()), flat(branch.thinned(x)));
    let (a, b) = (flat(branch.a), flat(branch.b));
    let weight = flat(Flex::dequantised(weight));
    let matrix = Matrix::new(numbers(&weight), [rows, columns], columns);

    let a = Matrix::new(numbers(&a), [rank, columns], columns);
    let mut inner = vec![0.0; t * rank];
    let thin = Matrix::new(numbers(&thin), [t, columns], columns);
    MatrixMut::new(&mut inner, [t, rank], rank).set_in_parallel(1.0, thin, a.transposed());

    let mut y = vec![0.0; t * rows];
    let x = Matrix::new(numbers(&x), [t, columns], columns);
    MatrixMut::new(&mut y, [t, rows], rows).set_in_parallel(1.0, x, matrix.transposed());
    let inner = Matrix::new(&inner, [t, rank], rank);
    let b = Matrix::new(numbers(&b), [rows, rank], rank);
    let to = MatrixMut::new(&mut y, [t, rows], rows);
    to.add_in_parallel(branch.scale as f32, inner, b.transposed());
    tensor(y, [t, rows])
}

/// [`Kernels::adapted_backward`]
pub(super) fn backward(
    x: Tensor<Flex, 2>,
    weight: &Tensor<Flex, 2>,
    branch: &Branch<Flex>,
    grad: Tensor<Flex, 2>,
    needs_x: bool,
) -> (Option<Tensor<Flex, 2>>, [Tensor<Flex, 2>; 2]) {
    let [t, columns] = x.dims();
    let [rows, rank] = branch.b.dims();
    let scale = branch.scale as f32;
    let thin = flat(branch.thinned(x));
    let (a, b) = (flat(branch.a.clone()), flat(branch.b.clone()));
    let grad = flat(grad);
    let thin = Matrix::new(numbers(&thin), [t, columns], columns);
    let a = Matrix::new(numbers(&a), [rank, columns], columns);
    let b = Matrix::new(numbers(&b), [rows, rank], rank);
    let grad = Matrix::new(numbers(&grad), [t, rows], rows);

    let mut inner = vec![0.0; t * rank];
    MatrixMut::new(&mut inner, [t, rank], rank).set_in_parallel(scale, thin, a.transposed());
    let inner = Matrix::new(&inner, [t, rank], rank);
    let mut of_inner = vec![0.0; t * rank];
    MatrixMut::new(&mut of_inner, [t, rank], rank).set_in_parallel(scale, grad, b);
    let of_inner = Matrix::new(&of_inner, [t, rank], rank);

    let mut of_b = vec![0.0; rows * rank];
    MatrixMut::new(&mut of_b, [rows, rank], rank).set_in_parallel(1.0, grad.transposed(), inner);
    let mut of_a = vec![0.0; rank * columns];
    let to = MatrixMut::new(&mut of_a, [rank, columns], columns);
    to.set_in_parallel(1.0, of_inner.transposed(), thin);

    let of_x = needs_x.then(|| {
        let mut of_x = vec![0.0; t * columns];
        let to = MatrixMut::new(&mut of_x, [t, columns], columns);
        to.set_in_parallel(1.0, of_inner, a);
        // What was dropped on the way in is dropped on the way back.
        let of_x = branch.dropped(tensor(of_x, [t, columns]));
        let mut of_x = flat(of_x);
        let weight = flat(Flex::dequantised(weight));
        let matrix = Matrix::new(numbers(&weight), [rows, columns], columns);
        let to = MatrixMut::new(super::numbers_mut(&mut of_x), [t, columns], columns);
        to.add_in_parallel(1.0, grad, matrix);
        super::wrap(of_x)
    });
    (
        of_x,
        [tensor(of_a, [rank, columns]), tensor(of_b, [rows, rank])],
    )
}
