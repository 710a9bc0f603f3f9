use burn::backend::Autodiff;
use burn::tensor::DType;
use burn_cuda::{Cuda, CudaDevice};

use crate::delia::skipped;
use crate::golden_models::{MODELS, STEPS, compare_packed, compare_states, compare_steps};
use crate::training::{check_dropout, check_quantised, check_recompute};

fn has_gpu(test: &str) -> bool {
    let missing = delia::device::missing(0);
    if let Some(missing) = &missing {
        skipped(test, missing);
    }
    missing.is_none()
}

#[test]
fn states_and_logits_on_a_gpu_are_those_of_transformers() {
    if !has_gpu("states_and_logits_on_a_gpu_are_those_of_transformers") {
        return;
    }
    let device = CudaDevice::new(0);
    for name in MODELS {
        compare_states::<Cuda>(name, DType::F32, &device, 1e-4);
        // 8 bits of mantissa, three blocks.
        compare_states::<Cuda>(name, DType::BF16, &device, 5e-2);
        compare_packed::<Cuda>(name, DType::F32, &device, 1e-4);
    }
}

#[test]
fn ten_steps_on_a_gpu_have_the_losses_of_peft() {
    if !has_gpu("ten_steps_on_a_gpu_have_the_losses_of_peft") {
        return;
    }
    for steps in STEPS {
        let device = CudaDevice::new(0);
        compare_steps::<Autodiff<Cuda>>(steps, DType::F32, &device, 1e-3);
        // The frozen weights and what passes between the blocks have 8 bits of mantissa.
        compare_steps::<Autodiff<Cuda>>(steps, DType::BF16, &device, 1e-1);
    }
}

#[test]
fn dropout_on_a_gpu_is_a_function_of_its_seed() {
    if !has_gpu("dropout_on_a_gpu_is_a_function_of_its_seed") {
        return;
    }
    check_dropout::<Cuda>(&CudaDevice::new(0));
}

#[test]
fn what_is_computed_again_on_a_gpu_is_the_same() {
    if !has_gpu("what_is_computed_again_on_a_gpu_is_the_same") {
        return;
    }
    check_recompute::<Autodiff<Cuda>>(&CudaDevice::new(0));
}

#[test]
fn a_quantised_base_on_a_gpu_is_what_its_bits_say() {
    if !has_gpu("a_quantised_base_on_a_gpu_is_what_its_bits_say") {
        return;
    }
    check_quantised::<Autodiff<Cuda>>(&CudaDevice::new(0));
}
