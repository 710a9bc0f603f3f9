//! How much a device can still hold.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::{Device, cuda};

/// Bytes that can still be taken on a device, or `None` where that cannot be known.
pub fn free_memory(device: Device) -> Option<u64> {
    match device {
        Device::Cpu => of_machine(),
        Device::Cuda(index) => cuda::free_memory(index),
    }
}

/// What the machine has left, or the container.
fn of_machine() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    // What a container has cached of files is taken from it when it needs room.
    let of_container = system
        .cgroup_limits()
        .map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let free = system
        .available_memory()
        .min(of_container.unwrap_or(u64::MAX));
    (free > 0).then_some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_tests_has_some_memory() {
        let free = free_memory(Device::Cpu);
        assert!(free.is_none_or(|free| free > 1 << 20), "{free:?}");
    }
}
