//! Checksums of contents: what the SDKs send along, and what S3 computes when they do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A kind of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha256,
}

/// Polynomials with their bits reversed, as these sums use them.
const CRC32_POLYNOMIAL: u64 = 0xedb8_8320;
const CRC32C_POLYNOMIAL: u64 = 0x82f6_3b78;
const CRC64NVME_POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

impl ChecksumAlgorithm {
    /// All that are imitated.
    pub(crate) const ALL: [Self; 4] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha256];

    /// `CRC32`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha256 => "SHA256",
        }
    }

    /// By its name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// `x-amz-checksum-crc32`
    pub(crate) fn header_name(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    /// `ChecksumCRC32`
    pub(crate) fn xml_element_name(self) -> String {
        format!("Checksum{}", self.name())
    }

    /// The sum of a content, in base 64.
    pub(crate) fn compute(self, content: &[u8]) -> String {
        STANDARD.encode(match self {
            Self::Crc32 => compute_crc(CRC32_POLYNOMIAL, 32, content)[4..].to_vec(),
            Self::Crc32c => compute_crc(CRC32C_POLYNOMIAL, 32, content)[4..].to_vec(),
            Self::Crc64nvme => compute_crc(CRC64NVME_POLYNOMIAL, 64, content).to_vec(),
            Self::Sha256 => Sha256::digest(content).to_vec(),
        })
    }

    /// The sum of the sums of parts.
    pub(crate) fn compute_composite<'a>(self, parts: impl Iterator<Item = &'a str>) -> String {
        let mut joined = Vec::new();
        let mut count = 0;
        for part in parts {
            joined.extend(STANDARD.decode(part).unwrap_or_default());
            count += 1;
        }
        format!("{}-{count}", self.compute(&joined))
    }
}

fn compute_crc(polynomial: u64, bits: u32, content: &[u8]) -> [u8; 8] {
    let table: Vec<u64> = (0..256)
        .map(|byte| {
            (0..8).fold(byte, |sum: u64, _| {
                if sum & 1 == 1 {
                    (sum >> 1) ^ polynomial
                } else {
                    sum >> 1
                }
            })
        })
        .collect();
    let ones = u64::MAX >> (64 - bits);
    let step = |sum: u64, byte: &u8| (sum >> 8) ^ table[usize::from(sum as u8 ^ byte)];
    (content.iter().fold(ones, step) ^ ones).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_catalogue() {
        let hex = |algorithm: ChecksumAlgorithm| {
            crate::ids::hex(&STANDARD.decode(algorithm.compute(b"123456789")).unwrap())
        };
        assert_eq!(hex(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumAlgorithm::Crc64nvme), "ae8b14860a799888");
    }
}
