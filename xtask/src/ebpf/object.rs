//! The object file: what is taken out of it and what must be in it.

use anyhow::{Context as _, Result, bail};
use object::{
    Object as _, ObjectSection as _,
    build::elf::{Builder, SectionData},
};

/// Takes the DWARF sections out. They are nine tenths of the file, nothing reads them at run time, and BTF,
/// which the kernel does read, was made from them already.
pub(crate) fn without_debug_sections(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(bytes).context("bpf-linker's output is not an ELF object")?;
    for section in &mut builder.sections {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug_") || name.starts_with(".rel.debug_");
    }
    // Symbols and relocations of what is gone go too.
    builder.delete_orphans();
    // LLVM keeps the names of sections among those of symbols, in one table; `object` writes two.
    let names = builder.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("failed to write the BPF object without debug sections")?;
    Ok(stripped)
}

/// Checks that the object can be loaded at all: programs, types and a licence are there, debug sections are not.
pub(crate) fn validate(bytes: &[u8]) -> Result<()> {
    let file = object::File::parse(bytes).context("the stripped BPF object is not an ELF object")?;
    if file.architecture() != object::Architecture::Bpf {
        bail!("the object is for {:?}, not for BPF", file.architecture());
    }
    for name in [".BTF", ".BTF.ext", "license"] {
        if file.section_by_name(name).is_none_or(|section| section.size() == 0) {
            bail!("the BPF object has no section {name}; the kernel or the loader would refuse it");
        }
    }
    if let Some(section) = file
        .sections()
        .find(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")))
    {
        bail!("the BPF object still has the section {}", section.name()?);
    }
    let is_program = |name: &str| {
        ["uprobe", "uretprobe", "tracepoint", "tp_btf", "raw_tp"]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    if !file
        .sections()
        .any(|section| section.size() > 0 && section.name().is_ok_and(is_program))
    {
        bail!("the BPF object has no program in it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(without_debug_sections(b"").is_err());
        assert!(without_debug_sections(b"not an object").is_err());
        let program = std::fs::read("/proc/self/exe").unwrap();
        assert!(validate(&program).unwrap_err().to_string().ends_with("not for BPF"));
    }
}
