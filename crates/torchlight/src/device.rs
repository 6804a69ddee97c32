//! Finding the device.

use tch::Device;

use crate::{DeviceChoice, Error, Result};

/// The device that a choice means on this machine.
///
/// # Errors
/// [`Error::Device`] where a GPU is asked for that libtorch does not see.
pub fn resolve(choice: DeviceChoice) -> Result<Device> {
    let gpus = if choice == DeviceChoice::Cpu { 0 } else { diffusion_lora::cuda::gpu_count() };
    match choice {
        DeviceChoice::Cuda(number) if number < gpus => Ok(Device::Cuda(number)),
        DeviceChoice::Cuda(_) => Err(Error::Device {
            device: choice.to_string(),
            reason: "libtorch sees no such GPU (is its CUDA part installed?)",
        }),
        DeviceChoice::Auto if gpus > 0 => Ok(Device::Cuda(0)),
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Device::Cpu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(resolve(DeviceChoice::Cpu).expect("a CPU"), Device::Cpu);
        assert!(resolve(DeviceChoice::Cuda(1000)).is_err());
    }
}
