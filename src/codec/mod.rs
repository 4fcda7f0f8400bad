//! placeholder until the codec branch lands
/// Codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// f32.
    Raw,
    /// IEEE half.
    Fp16,
    /// bfloat16.
    Bf16,
}
crate::named!(Codec, "codec", { Raw => "raw", Fp16 => "fp16", Bf16 => "bf16" });
