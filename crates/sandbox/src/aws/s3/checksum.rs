//! Checksums of object contents, which SDKs send and which S3 computes otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A checksum algorithm that S3 supports. SHA-1 is not simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha256,
}

/// CRC polynomials in reversed bit order.
const CRC32_POLYNOMIAL: u64 = 0xedb8_8320;
const CRC32C_POLYNOMIAL: u64 = 0x82f6_3b78;
const CRC64NVME_POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

impl ChecksumAlgorithm {
    /// All simulated algorithms.
    pub(crate) const ALL: [Self; 4] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha256];

    /// The name in the API, for example `CRC32`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha256 => "SHA256",
        }
    }

    /// Finds an algorithm by its name, ignoring case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header with the checksum, for example `x-amz-checksum-crc32`.
    pub(crate) fn header_name(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    /// The XML element with the checksum, for example `ChecksumCRC32`.
    pub(crate) fn xml_element_name(self) -> String {
        format!("Checksum{}", self.name())
    }

    /// The checksum of `content`, Base64-encoded.
    pub(crate) fn compute(self, content: &[u8]) -> String {
        STANDARD.encode(match self {
            Self::Crc32 => compute_crc(CRC32_POLYNOMIAL, 32, content)[4..].to_vec(),
            Self::Crc32c => compute_crc(CRC32C_POLYNOMIAL, 32, content)[4..].to_vec(),
            Self::Crc64nvme => compute_crc(CRC64NVME_POLYNOMIAL, 64, content).to_vec(),
            Self::Sha256 => Sha256::digest(content).to_vec(),
        })
    }

    /// The composite checksum of an upload from the Base64-encoded checksums of its parts: the checksum of
    /// their concatenation, a dash and the number of parts.
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
            (0..8).fold(byte, |crc: u64, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ polynomial
                } else {
                    crc >> 1
                }
            })
        })
        .collect();
    // The reflected algorithm: start with all bits set, one table lookup per byte, invert the result.
    let all_ones = u64::MAX >> (64 - bits);
    let update = |crc: u64, byte: &u8| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)];
    (content.iter().fold(all_ones, update) ^ all_ones).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_match_the_catalogue_check_values() {
        let hex = |algorithm: ChecksumAlgorithm| {
            crate::ids::hex(&STANDARD.decode(algorithm.compute(b"123456789")).unwrap())
        };
        assert_eq!(hex(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumAlgorithm::Crc64nvme), "ae8b14860a799888");
    }
}
