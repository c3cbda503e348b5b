//! Cuts the engine in two: what a page needs until its first document is shown and typed in, and the rest, which comes after that.
//!
//! The cut is along functions. Which can come later, a *profile* says: the names of those that did not run when a page was
//! loaded, somebody signed in, and a document was opened and written in. It is recorded from an engine in which every function
//! notes that it was called ([`noting_calls`]), and kept in the repository, much like the profiles that Android's packages carry.
//! What it does not know is in the first part, and so are small functions that the first part calls.
//!
//! In the first part ([`split`]) a function of the second is a stub: it calls the real one through a table that the second
//! part fills when it is instantiated, over the memory and the globals of the first. A stub that finds the table empty
//! has the page's worker load the second part there and then. So a profile that is out of date costs time, mostly that of a
//! larger first part, and nothing else.
//! What the second part calls of the first is in another table, [`LENT`]: as exports, their names alone would take kilobytes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use walrus::ir::{Const, GlobalSet, RefIsNull, TableGet, Value, Visitor, dfs_in_order};
use walrus::{
    ConstExpr, DataKind, ElementItems, ElementKind, ExportItem, FunctionBuilder, FunctionId, FunctionKind,
    GlobalId, GlobalKind, ImportKind, ImportedFunction, MemoryId, Module, ModuleConfig, RefType, TableId,
    ValType,
};
use wasm_encoder::RawSection;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// What the engine calls to have its second part loaded, as `crates/web/src/second_part.rs` names it.
const LOADER: &str = "loadSecondPart";
/// The module that the second part imports everything from: the first part's exports.
const FIRST: &str = "first";

/// How many instructions a small function has at most.
const SMALL: u64 = 20;

/// The engine's two modules, with the names of their functions.
pub(crate) struct Parts {
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
}

/// The names of functions that belong to the second part, a line each, in order.
pub(crate) struct Profile(BTreeSet<String>);

impl Profile {
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }

    fn names(&self, function: &walrus::Function) -> bool {
        function.name.as_deref().is_some_and(|name| self.0.contains(&plain(name)))
    }
}

/// A function's name as the sources have it: without the hashes of crates, which differ from one compiler to the next, and without
/// the places that wasm-opt tells functions of one name apart by, which any change in the sources moves. What wasm-bindgen says of its
/// shims, after a space, stays.
fn plain(name: &str) -> String {
    let (symbol, shim) = name.split_at(name.find(' ').unwrap_or(name.len()));
    let without_place =
        symbol.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('_').unwrap_or(symbol);
    let demangled =
        rustc_demangle::try_demangle(symbol).or_else(|_| rustc_demangle::try_demangle(without_place));
    demangled.map_or_else(|_| name.to_owned(), |demangled| format!("{demangled:#}{shim}"))
}

/// The engine with an exported global for each of its functions, which is 1 once the function was called; and the functions' names,
/// by the globals' names.
pub(crate) fn noting_calls(wasm: &[u8]) -> Result<(Vec<u8>, BTreeMap<String, String>)> {
    let mut module = parse(wasm, Names::Dropped)?;
    let mut names = BTreeMap::new();
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for (n, id) in functions.into_iter().enumerate() {
        let called = module.globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(0)));
        let export = format!("called{n}");
        module.exports.add(&export, called);
        let function = module.funcs.get_mut(id);
        names.insert(export, function.name.as_deref().map(plain).unwrap_or_default());
        let FunctionKind::Local(function) = &mut function.kind else { continue };
        let mut body = function.builder_mut().func_body();
        body.instr_at(0, Const { value: Value::I32(1) });
        body.instr_at(1, GlobalSet { global: called });
    }
    Ok((module.emit_wasm(), names))
}

/// Cuts the engine, as wasm-bindgen and wasm-opt have made it, with the names of its functions.
pub(crate) fn split(wasm: &[u8], profile: &Profile) -> Result<Parts> {
    let [mut first, mut second] = [parse(wasm, Names::Kept)?, parse(wasm, Names::Kept)?];
    // The same bytes are read in the same order: what the one module calls a thing, the other does by its place.
    let [in_first, in_second] = [Order::of(&first), Order::of(&second)];
    let mut later = functions_of_the_second_part(&first, profile);
    let entrances = loop {
        ensure!(!later.is_empty(), "the profile names no function of the engine");
        let entrances = entrances(&first, &later);
        let small: Vec<&FunctionId> = entrances.iter().filter(|&&id| is_small(&first, id)).collect();
        if small.is_empty() {
            break entrances;
        }
        for id in small {
            later.remove(id);
        }
    };
    let counterparts: BTreeMap<_, _> = in_first.functions.iter().zip(&in_second.functions).collect();
    let in_its_place = |id: &FunctionId| *counterparts[id];

    borrow_everything(&mut second, &in_second, &later.iter().map(in_its_place).collect())?;
    fill_table(&mut second, entrances.iter().map(in_its_place).collect());
    walrus::passes::gc::run(&mut second);

    lend(&mut first, &in_first, &mut second)?;
    put_stubs(&mut first, &entrances)?;
    walrus::passes::gc::run(&mut first);
    Ok(Parts { first: first.emit_wasm(), second: second.emit_wasm() })
}

/// What a module consists of, in the order it was read in.
struct Order {
    functions: Vec<FunctionId>,
    tables: Vec<TableId>,
    memories: Vec<MemoryId>,
    globals: Vec<GlobalId>,
}

impl Order {
    fn of(module: &Module) -> Self {
        Self {
            functions: module.funcs.iter().map(walrus::Function::id).collect(),
            tables: module.tables.iter().map(walrus::Table::id).collect(),
            memories: module.memories.iter().map(walrus::Memory::id).collect(),
            globals: module.globals.iter().map(walrus::Global::id).collect(),
        }
    }

    /// What [`borrow_everything`] gave this name to, in another module of the same order.
    fn named(&self, name: &str) -> Option<ExportItem> {
        let (kind, place) = name.split_at_checked(1)?;
        let place = usize::from_str_radix(place, 16).ok()?;
        Some(match kind {
            "f" => ExportItem::Function(*self.functions.get(place)?),
            "t" => ExportItem::Table(*self.tables.get(place)?),
            "m" => ExportItem::Memory(*self.memories.get(place)?),
            "g" => ExportItem::Global(*self.globals.get(place)?),
            _ => return None,
        })
    }
}

/// What becomes of functions' names when a module is written again.
#[derive(PartialEq)]
enum Names {
    Kept,
    Dropped,
}

fn parse(wasm: &[u8], names: Names) -> Result<Module> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(names == Names::Kept).generate_producers_section(false);
    config.parse(wasm)
}

/// A module as it is shipped, and apart from it which function in it is which.
pub(crate) fn take_names(wasm: &[u8]) -> Result<(Vec<u8>, BTreeMap<u32, String>)> {
    let mut shipped = wasm_encoder::Module::new();
    let mut names = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload
            && let KnownCustom::Name(section) = section.as_known()
        {
            for part in section {
                let Name::Function(functions) = part? else { continue };
                for function in functions {
                    let function = function?;
                    names.insert(function.index, plain(function.name));
                }
            }
        } else if let Some((id, range)) = payload.as_section() {
            shipped.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok((shipped.finish(), names))
}

/// Whether a function is no trouble to have in the first part, whether or not it ever ran: a stub in its place would be about as large.
/// How values are dropped and which small helpers are called depends on what comes first, and no recording sees all of it.
fn is_small(module: &Module, function: FunctionId) -> bool {
    matches!(&module.funcs.get(function).kind, FunctionKind::Local(body) if body.size() <= SMALL)
}

fn functions_of_the_second_part(module: &Module, profile: &Profile) -> BTreeSet<FunctionId> {
    let at_the_start = at_the_start(module);
    let local = module.funcs.iter_local();
    let later = local.filter(|(id, _)| profile.names(module.funcs.get(*id)) && !at_the_start.contains(id));
    later.map(|(id, _)| id).collect()
}

/// What wasm-bindgen calls, and what that calls, before anybody has the module's exports: nothing could be loaded then.
fn at_the_start(module: &Module) -> BTreeSet<FunctionId> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<FunctionId> =
        module.exports.get_func("__wbindgen_start").into_iter().chain(module.start).collect();
    while let Some(id) = next.pop() {
        if let (true, FunctionKind::Local(body)) = (reached.insert(id), &module.funcs.get(id).kind) {
            let mut named = Named::default();
            dfs_in_order(&mut named, body, body.entry_block());
            next.extend(named.0);
        }
    }
    reached
}

/// The functions of the second part that the first refers to, or that are called from outside.
fn entrances(module: &Module, later: &BTreeSet<FunctionId>) -> Vec<FunctionId> {
    let mut named = Named::default();
    for (id, body) in module.funcs.iter_local() {
        if !later.contains(&id) {
            dfs_in_order(&mut named, body, body.entry_block());
        }
    }
    named.0.extend(module.exports.iter().filter_map(|export| match export.item {
        ExportItem::Function(id) => Some(id),
        _ => None,
    }));
    for element in module.elements.iter() {
        match &element.items {
            ElementItems::Functions(ids) => named.0.extend(ids),
            ElementItems::Expressions(_, items) => {
                named.0.extend(items.iter().filter_map(|item| match item {
                    ConstExpr::RefFunc(id) => Some(*id),
                    _ => None,
                }))
            }
        }
    }
    named.0.intersection(later).copied().collect()
}

/// The functions that a body names.
#[derive(Default)]
struct Named(BTreeSet<FunctionId>);

impl Visitor<'_> for Named {
    fn visit_function_id(&mut self, function: &FunctionId) {
        self.0.insert(*function);
    }
}

/// Leaves nothing of its own in the second part but its functions: all else comes from the first.
fn borrow_everything(module: &mut Module, order: &Order, later: &BTreeSet<FunctionId>) -> Result<()> {
    // A segment that code copies from would be in both parts.
    let active = module.data.iter().all(|data| matches!(data.kind, DataKind::Active { .. }))
        && module.elements.iter().all(|element| matches!(element.kind, ElementKind::Active { .. }));
    ensure!(active, "the engine has segments that are no part of its memory or tables from the beginning");
    module.start = None;
    for id in module.exports.iter().map(walrus::Export::id).collect::<Vec<_>>() {
        module.exports.delete(id);
    }
    for id in module.data.iter().map(walrus::Data::id).collect::<Vec<_>>() {
        module.data.delete(id);
    }
    for id in module.elements.iter().map(walrus::Element::id).collect::<Vec<_>>() {
        module.elements.delete(id);
    }
    for id in module.imports.iter().map(walrus::Import::id).collect::<Vec<_>>() {
        module.imports.delete(id);
    }
    for (n, &id) in order.memories.iter().enumerate() {
        let import = module.imports.add(FIRST, &format!("m{n:x}"), id);
        let memory = module.memories.get_mut(id);
        memory.data_segments.clear();
        memory.import = Some(import);
    }
    for (n, &id) in order.tables.iter().enumerate() {
        let import = module.imports.add(FIRST, &format!("t{n:x}"), id);
        let table = module.tables.get_mut(id);
        table.elem_segments.clear();
        table.import = Some(import);
    }
    for (n, &id) in order.globals.iter().enumerate() {
        let import = module.imports.add(FIRST, &format!("g{n:x}"), id);
        module.globals.get_mut(id).kind = GlobalKind::Import(import);
    }
    for (n, &id) in order.functions.iter().enumerate().filter(|(_, id)| !later.contains(id)) {
        let import = module.imports.add(FIRST, &format!("f{n:x}"), id);
        let function = module.funcs.get_mut(id);
        function.kind = FunctionKind::Import(ImportedFunction { import, ty: function.ty() });
    }
    Ok(())
}

/// The table of the first part through which the second is called.
const ENTRANCES: &str = "entrances";

fn fill_table(module: &mut Module, entrances: Vec<FunctionId>) {
    let size = entrances.len() as u64;
    let (table, _) = module.add_import_table(FIRST, ENTRANCES, false, size, Some(size), RefType::FUNCREF);
    fill(module, table, entrances);
}

fn fill(module: &mut Module, table: TableId, functions: Vec<FunctionId>) {
    let kind = ElementKind::Active { table, offset: ConstExpr::Value(Value::I32(0)) };
    let element = module.elements.add(kind, ElementItems::Functions(functions));
    module.tables.get_mut(table).elem_segments.insert(element);
}

/// The table of the first part's functions that the second imports: as `f0`, `f1` and so on, by their places in it.
const LENT: &str = "lent";

/// Exports from the first part what the second imports.
fn lend(first: &mut Module, order: &Order, second: &mut Module) -> Result<()> {
    let mut functions = Vec::new();
    for import in second.imports.iter_mut().filter(|import| import.name != ENTRANCES) {
        let item = order.named(&import.name);
        match item.context("the second part imports what the first does not have")? {
            ExportItem::Function(function) => {
                import.name = format!("f{}", functions.len());
                functions.push(function);
            }
            item => _ = first.exports.add(&import.name, item),
        }
    }
    let size = functions.len() as u64;
    let table = first.tables.add_local(false, size, Some(size), RefType::FUNCREF);
    fill(first, table, functions);
    first.exports.add(LENT, table);
    Ok(())
}

/// Puts in the place of each function that the second part has a call through the table.
fn put_stubs(module: &mut Module, entrances: &[FunctionId]) -> Result<()> {
    let size = entrances.len() as u64;
    let table = module.tables.add_local(false, size, Some(size), RefType::FUNCREF);
    module.exports.add(ENTRANCES, table);
    let loaded = have_it_loaded(module, table)?;
    for (slot, &id) in entrances.iter().enumerate() {
        let ty = module.funcs.get(id).ty();
        let (params, results) = module.types.params_results(ty);
        let (params, results) = (params.to_vec(), results.to_vec());
        let mut stub = FunctionBuilder::new(&mut module.types, &params, &results);
        let arguments: Vec<_> = params.iter().map(|&ty| module.locals.add(ty)).collect();
        let mut body = stub.func_body();
        body.call(loaded);
        for &argument in &arguments {
            body.local_get(argument);
        }
        body.i32_const(i32::try_from(slot)?).call_indirect(ty, table);
        module.funcs.get_mut(id).kind = FunctionKind::Local(stub.local_func(arguments));
    }
    Ok(())
}

/// A function that has the second part loaded where it is not there yet.
fn have_it_loaded(module: &mut Module, table: TableId) -> Result<FunctionId> {
    let loader = module.imports.iter().find_map(|import| match import.kind {
        ImportKind::Function(id) if import.name.contains(LOADER) => Some(id),
        _ => None,
    });
    let loader = loader.context("the engine does not import what loads its second part")?;
    let mut function = FunctionBuilder::new(&mut module.types, &[], &[]);
    function.func_body().i32_const(0).instr(TableGet { table }).instr(RefIsNull {}).if_else(
        None,
        |absent| _ = absent.call(loader),
        |_| {},
    );
    Ok(function.finish(Vec::new(), &mut module.funcs))
}

#[cfg(test)]
mod tests {
    use walrus::ir::BinaryOp;
    use walrus::{InstrSeqBuilder, LocalId};

    use super::*;
    use crate::alike::neighbours;
    use crate::step::Program;

    /// A module as compilers make them: `enter(x)`, which calls `rare(x)` itself and through its table; `rare` counts in a global, writes
    /// to memory, and calls `helper`, which `enter` needs as well. `rare` is no small function.
    fn module() -> Vec<u8> {
        let mut module = Module::default();
        let nothing = module.types.add(&[], &[]);
        let number = module.types.add(&[ValType::I32], &[ValType::I32]);
        module.add_import_func("./glue.js", "__wbg_loadSecondPart_0123", nothing);
        let memory = module.memories.add_local(false, false, 1, None, None);
        let count = module.globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(0)));
        let table = module.tables.add_local(false, 2, None, RefType::FUNCREF);
        let whole = walrus::ir::MemArg { align: 4, offset: 0 };

        let helper = function(&mut module, "helper", |body, x| {
            body.local_get(x).i32_const(3).binop(BinaryOp::I32Mul);
        });
        let rare = function(&mut module, "rare", |body, x| {
            body.global_get(count).i32_const(1).binop(BinaryOp::I32Add).global_set(count);
            body.i32_const(16).global_get(count).store(
                memory,
                walrus::ir::StoreKind::I32 { atomic: false },
                whole,
            );
            for _ in 0..SMALL {
                body.global_get(count).drop();
            }
            body.local_get(x).call(helper);
        });
        let enter = function(&mut module, "enter", |body, x| {
            body.local_get(x).call(rare).local_get(x).i32_const(1).call_indirect(number, table);
            body.binop(BinaryOp::I32Add).call(helper);
        });
        let kind = ElementKind::Active { table, offset: ConstExpr::Value(Value::I32(1)) };
        let element = module.elements.add(kind, ElementItems::Functions(vec![rare]));
        module.tables.get_mut(table).elem_segments.insert(element);
        module.exports.add("memory", memory);
        module.exports.add("count", count);
        module.exports.add("enter", enter);
        module.emit_wasm()
    }

    fn function(
        module: &mut Module,
        name: &str,
        body: impl FnOnce(&mut InstrSeqBuilder, LocalId),
    ) -> FunctionId {
        let mut function = FunctionBuilder::new(&mut module.types, &[ValType::I32], &[ValType::I32]);
        let x = module.locals.add(ValType::I32);
        body(&mut function.name(name.to_owned()).func_body(), x);
        function.finish(vec![x], &mut module.funcs)
    }

    /// Runs a script that finds the given modules as `modules`.
    fn run(modules: &[&[u8]], script: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..modules.len()).map(|n| folder.path().join(format!("{n}.wasm"))).collect();
        for (file, module) in files.iter().zip(modules) {
            std::fs::write(file, module).unwrap();
        }
        let read = "const modules = process.argv.slice(1).map((file) => new WebAssembly.Module(require('fs').readFileSync(file)));";
        let program = Program::new("node").args(["-e", &format!("{read}\n{script}")]).args(files);
        program.read().unwrap()
    }

    #[test]
    fn the_second_part_is_loaded_when_it_is_called_and_shares_all_with_the_first() {
        let parts = split(&module(), &Profile::parse("# whatever\nrare\n")).unwrap();
        // As they are shipped: functions that have moved are still called for what they are.
        let [(first, names), (second, _)] =
            [parts.first, parts.second].map(|part| take_names(&neighbours(&part).unwrap()).unwrap());
        let is_named = |name: &str| names.values().any(|named| named == name);
        assert!(is_named("enter") && is_named("rare") && is_named("helper"), "{names:?}");
        assert!(take_names(&first).unwrap().1.is_empty(), "names are not shipped");
        let said = run(
            &[&first, &second],
            "let loads = 0;
             const load = () => {
                 loads += 1;
                 const functions = Array.from({ length: exports.lent.length }, (_, n) => [`f${n}`, exports.lent.get(n)]);
                 new WebAssembly.Instance(modules[1], { first: { ...exports, ...Object.fromEntries(functions) } });
             };
             const { exports } = new WebAssembly.Instance(modules[0], { './glue.js': { __wbg_loadSecondPart_0123: load } });
             console.log(loads, exports.enter(5), exports.enter(1), loads, exports.count.value, new Int32Array(exports.memory.buffer)[4]);
             console.log(exports.entrances.length);",
        );
        let rare_alone = "1";
        assert_eq!(said.lines().collect::<Vec<_>>(), ["0 90 18 1 4 4", rare_alone]);
    }

    #[test]
    fn a_profile_that_knows_no_function_leaves_nothing_for_later() {
        assert!(split(&module(), &Profile::parse("of an engine before")).is_err());
    }

    #[test]
    fn what_was_called_is_noted() {
        let (noting, names) = noting_calls(&module()).unwrap();
        let said = run(
            &[&noting],
            "const { exports } = new WebAssembly.Instance(modules[0], { './glue.js': { __wbg_loadSecondPart_0123() {} } });
             const called = () => Object.entries(exports).filter(([name, it]) => name.startsWith('called') && it.value === 1).length;
             console.log(called(), exports.enter(5), called());",
        );
        assert_eq!(said.trim(), "0 90 3");
        assert_eq!(
            names.into_values().collect::<BTreeSet<_>>(),
            ["enter", "helper", "rare"].map(str::to_owned).into()
        );
    }

    #[test]
    fn names_tell_instances_apart_and_compilers_and_places_do_not() {
        let mangled = "_RNvXs4_NtNtCs1234567890_4core3fmt3numhNtB7_5Debug3fmtCsabcdef_5sheaf";
        assert_eq!(plain(mangled), "<u8 as core::fmt::Debug>::fmt");
        assert_eq!(plain(&format!("{mangled}_1234")), plain(mangled), "wasm-opt's second of that name");
        assert_eq!(
            plain(&format!("{mangled} externref shim")),
            "<u8 as core::fmt::Debug>::fmt externref shim"
        );
        assert_eq!(plain("__wbindgen_malloc"), "__wbindgen_malloc");
        assert_eq!(plain("of_the_glue_12"), "of_the_glue_12");
    }
}
