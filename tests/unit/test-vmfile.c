/* SPDX-License-Identifier: MPL-2.0 */

/* The VMFile: every case in tests/data/vmfile against its expected outcome, and the parts that need
 * a disk or a value. A case is NAME.kdl. One that is called fail-… has the rendering in NAME.txt
 * and the objects in NAME.json; one that is called pass-… has its definitions in NAME.txt.
 *
 * VM_TEST_DATA is tests/data, VM_DOCS is docs. With VM_TEST_UPDATE=1 the expectations, and the
 * generated tables of docs/vmfile.md, are rewritten from what the code does: read the difference
 * before you commit it. */
#include "vmfile/file.h"
#include "vmfile/schema.h"
#include "vmfile/spec.h"

#include <glib/gstdio.h>
#include <string.h>

#define REFERENCE_START "<!-- reference: generated from src/vmfile/schema.c -->\n"
#define REFERENCE_END "<!-- end of reference -->\n"

static char *
data_path (const char *name)
{
  const char *data = g_getenv ("VM_TEST_DATA");
  return g_build_filename (data != NULL ? data : "tests/data", "vmfile", name, NULL);
}

static char *
docs_path (void)
{
  const char *docs = g_getenv ("VM_DOCS");
  return g_build_filename (docs != NULL ? docs : "docs", "vmfile.md", NULL);
}

static gboolean
is_update (void)
{
  return g_strcmp0 (g_getenv ("VM_TEST_UPDATE"), "1") == 0;
}

static char *
read_file (const char *path, gsize *out_size)
{
  g_autoptr (GError) error = NULL;
  char *text = NULL;
  gsize size = 0;
  g_file_get_contents (path, &text, &size, &error);
  g_assert_no_error (error);
  if (out_size != NULL)
    *out_size = size;
  return text;
}

static void
write_file (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

/* Compares with NAME + @suffix, or rewrites that. */
static void
expect_file (const char *name, const char *suffix, const char *actual)
{
  g_autofree char *file = g_strconcat (name, suffix, NULL);
  g_autofree char *path = data_path (file);
  if (is_update ()) {
    write_file (path, actual);
    return;
  }
  g_autofree char *expected = read_file (path, NULL);
  if (strcmp (actual, expected) != 0)
    g_test_message ("%s differs:\n%s", path, actual);
  g_assert_cmpstr (actual, ==, expected);
}

static VmFile *
decode (const char *name, const char *text, gsize size, VmDiagnostics **out_diagnostics)
{
  return vm_file_decode (name, kdl_parse (text, size, KDL_VERSION_AUTO, 0), out_diagnostics);
}

static VmFile *
decode_text (const char *text)
{
  VmDiagnostics *diagnostics = NULL;
  VmFile *file = decode ("VMFile.kdl", text, strlen (text), &diagnostics);
  if (diagnostics != NULL) {
    g_autofree char *shown = vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE);
    g_error ("not valid:\n%s", shown);
  }
  return file;
}

/* The first fault's help, or its message where it has none. Owned by the caller. */
static char *
first_help (const char *text)
{
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  g_autoptr (VmFile) file = decode ("VMFile.kdl", text, strlen (text), &diagnostics);
  g_assert_null (file);
  const VmDiagnostic *first = diagnostics->list->pdata[0];
  return g_strdup (first->help != NULL ? first->help : first->message);
}

/* ---- definitions as text ---- */

static void
dump_text (GString *out, const char *name, const char *text)
{
  if (text == NULL)
    return;
  g_autofree char *escaped = g_strescape (text, NULL);
  g_string_append_printf (out, "  %s \"%s\"\n", name, escaped);
}

static void
dump_network (GString *out, const VmNetwork *network)
{
  g_string_append_printf (out, "  network %s %s\n", vm_network_kind_to_string (network->kind),
                          network->link != NULL ? network->link : "-");
  for (guint i = 0; i < network->forwards->len; i++) {
    const VmForward *forward = network->forwards->pdata[i];
    g_string_append_printf (out, "    forward %s %s:%u -> %u\n",
                            vm_protocol_words[forward->protocol], forward->address,
                            forward->host_port, forward->guest_port);
  }
}

static void
dump_step (GString *out, const VmStep *step)
{
  g_string_append_printf (out, "  provision %s %s\n", vm_step_kind_words[step->kind],
                          vm_run_policy_words[step->run]);
  dump_text (out, "  inline", step->inline_text);
  dump_text (out, "  script", step->script);
  dump_text (out, "  source", step->source);
  dump_text (out, "  destination", step->destination);
}

static void
dump_def (GString *out, const VmDef *def)
{
  g_string_append_printf (out, "vm %s\n", def->name);
  dump_text (out, "backend", def->backend);
  dump_text (out, "image", def->image);
  dump_text (out, "image-url", def->image_url);
  dump_text (out, "checksum", def->checksum);
  g_string_append_printf (
      out, "  vcpus %u memory %" G_GUINT64_FORMAT " disk %" G_GUINT64_FORMAT " uefi %d accel %s\n",
      def->vcpus, def->memory_mib, def->disk_gib, def->uefi, vm_accel_to_string (def->accel));
  for (guint i = 0; i < def->networks->len; i++)
    dump_network (out, def->networks->pdata[i]);
  g_string_append_printf (out, "  cloud-init %d ssh %d\n", def->has_cloud_init, def->has_ssh);
  dump_text (out, "hostname", def->hostname);
  dump_text (out, "ssh-key", def->ssh_key);
  dump_text (out, "user-data", def->user_data);
  dump_text (out, "network-config", def->network_config);
  dump_text (out, "user", def->ssh_user);
  dump_text (out, "private-key", def->private_key);
  for (guint i = 0; i < def->depends_on->len; i++)
    dump_text (out, "depends-on", def->depends_on->pdata[i]);
  for (guint i = 0; i < def->steps->len; i++)
    dump_step (out, def->steps->pdata[i]);
}

static char *
dump_file (const VmFile *file)
{
  GString *out = g_string_new (file->read_as_kdl1 ? "read as KDL 1\n" : NULL);
  for (guint i = 0; i < file->vms->len; i++)
    dump_def (out, file->vms->pdata[i]);
  g_string_append (out, "order:");
  g_autoptr (GPtrArray) order = vm_file_order (file);
  for (guint i = 0; i < order->len; i++)
    g_string_append_printf (out, " %s", ((const VmDef *) order->pdata[i])->name);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}

/* ---- cases ---- */

static void
check_spans (const VmDiagnostics *diagnostics, gsize size)
{
  guint32 last = 0;
  for (guint i = 0; i < diagnostics->list->len; i++) {
    const VmDiagnostic *fault = diagnostics->list->pdata[i];
    KdlSpan span = fault->primary.span;
    g_assert_cmpuint ((gsize) span.offset + span.length, <=, size);
    g_assert_cmpuint (span.offset, >=, last);
    last = span.offset;
    for (guint j = 0; j < fault->secondary->len; j++) {
      span = g_array_index (fault->secondary, VmLabel, j).span;
      g_assert_cmpuint ((gsize) span.offset + span.length, <=, size);
    }
  }
}

static gboolean
is_plain (const char *text)
{
  for (; *text != '\0'; text++)
    if ((guchar) *text >= 0x80 || ((guchar) *text < ' ' && *text != '\n'))
      return FALSE;
  return TRUE;
}

static void
check_failure (const char *name, const VmDiagnostics *diagnostics)
{
  g_autofree char *text = vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE);
  g_autofree char *ascii = vm_diagnostics_to_text (diagnostics, 0);
  g_autoptr (JsonNode) node = vm_diagnostics_to_json (diagnostics);
  g_autofree char *json = json_to_string (node, TRUE);
  g_autofree char *json_line = g_strconcat (json, "\n", NULL);
  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_null (strchr (text, '\033'));
  g_assert_true (is_plain (ascii));
  expect_file (name, ".txt", text);
  expect_file (name, ".json", json_line);
}

static void
test_case (gconstpointer data)
{
  const char *name = data;
  g_autofree char *file_name = g_strconcat (name, ".kdl", NULL);
  g_autofree char *path = data_path (file_name);
  gsize size = 0;
  g_autofree char *text = read_file (path, &size);
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  g_autoptr (VmFile) file = decode (file_name, text, size, &diagnostics);

  g_assert_true ((file == NULL) == g_str_has_prefix (name, "fail-"));
  g_assert_true ((file == NULL) == (diagnostics != NULL));
  if (file == NULL) {
    check_spans (diagnostics, size);
    check_failure (name, diagnostics);
    return;
  }
  g_autofree char *dump = dump_file (file);
  expect_file (name, ".txt", dump);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
add_cases (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = data_path ("");
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  g_assert_no_error (error);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *entry;
  while ((entry = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (entry, ".kdl"))
      g_ptr_array_add (names, g_strndup (entry, strlen (entry) - strlen (".kdl")));
  g_ptr_array_sort (names, compare_names);
  g_assert_cmpuint (names->len, >, 0);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_strconcat ("/vmfile/case/", names->pdata[i], NULL);
    g_test_add_data_func_full (path, g_strdup (names->pdata[i]), test_case, g_free);
  }
}

/* ---- rendering ---- */

/* The two other ways to draw, on a case with several labels in a box. */
static void
test_drawing (void)
{
  g_autofree char *path = data_path ("fail-13-duplicate.kdl");
  gsize size = 0;
  g_autofree char *text = read_file (path, &size);
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  g_autoptr (VmFile) file = decode ("VMFile.kdl", text, size, &diagnostics);
  g_autofree char *ascii = vm_diagnostics_to_text (diagnostics, 0);
  g_autofree char *colour =
      vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE | VM_RENDER_COLOUR);
  expect_file ("drawing-ascii", ".txt", ascii);
  expect_file ("drawing-colour", ".txt", colour);
}

/* Labels that overlap, lie at the end, or span lines; no VMFile fault has them all. */
static void
test_labels (void)
{
  static const char source[] = "one two three\nfour\n\nlast";
  VmDiagnostics *diagnostics =
      vm_diagnostics_new ("x", kdl_parse (source, strlen (source), KDL_VERSION_2, 0));
  g_autoptr (VmDiagnostics) owned = diagnostics;
  VmDiagnostic *fault = vm_diagnostics_add (diagnostics, VM_ERROR_VMFILE_VALIDATION,
                                            (KdlSpan){ 4, 9 }, "%s", "overlap");
  vm_diagnostic_label (fault, "outer");
  vm_diagnostic_point (fault, (KdlSpan){ 8, 5 }, "inner");
  vm_diagnostic_point (fault, (KdlSpan){ 0, 3 }, "before");
  vm_diagnostic_point (fault, (KdlSpan){ 23, 1 }, "end");
  fault = vm_diagnostics_add (diagnostics, VM_ERROR_VMFILE_VALIDATION, (KdlSpan){ 8, 12 }, "%s",
                              "two lines, the first is marked");
  vm_diagnostic_label (fault, "here");
  vm_diagnostics_finish (diagnostics);
  g_autofree char *text = vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE);
  expect_file ("labels", ".txt", text);
}

/* ---- suggestions ---- */

static void
test_suggestions (void)
{
  static const struct {
    const char *text;
    const char *help;
  } cases[] = {
    { "vm a { image a; vcups 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; Vcpus 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; VCUPS 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; vcpu 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; cpus 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; cpu 2; }", "did you mean `vcpus`?" },
    { "vm a { image a; ram 2; }", "did you mean `memory`?" },
    { "vm a { image a; MEM 2; }", "did you mean `memory`?" },
    { "vm a { url a; }", "did you mean `image-url`?" },
    { "vm a { imageurl a; }", "did you mean `image-url`?" },
    { "vm a { image a; depends_on b; }", "did you mean `depends-on`?" },
    { "vm a { image a; cloud-init { sshkey a; }; }", "did you mean `ssh-key`?" },
    { "vm a { image a; networks user; }", "did you mean `network`?" },
    { "vm a { image a; user x; }", "`user` belongs into `ssh { }`" },
    { "vms a { image a; }", "did you mean `vm`?" },
    { "vm a { image a; accel kmv; }", "did you mean `kvm`?" },
    { "vm a { image a; network nat; }", "did you mean `user`?" },
    { "vm a { image a; network bridge; }", "did you mean `tap`?" },
    { "vm a { image a; accel hyperv; }", "it can be `auto`, `kvm` or `tcg`" },
    { "vm a { image a; network zzz; }", "it can be `user`, `isolated`, `tap`, `vnic` or `none`" },
    { "vm web1 { image a; }; vm web2 { image a; depends-on web3; }",
      "`depends-on` names vms of the same file" },
    { "vm alpha { image a; }; vm beta { image a; depends-on alhpa; }", "did you mean `alpha`?" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *help = first_help (cases[i].text);
    g_test_message ("%s", cases[i].text);
    g_assert_cmpstr (help, ==, cases[i].help);
  }
}

/* A fault of the file's structure must not bring forth others. */
static void
test_no_echo (void)
{
  static const char *const cases[] = {
    "vm a { imgae a; }",
    "vm a { image: a; }",
    "vm a { image-url https://x.org/a {\n}",
    "vm a { image /a; }",
    "vm a { image a; shh { }; provision shell { inline a; }; }",
    "vm a { image a; provision shell { inlien a; }; ssh { }; }",
    "vm a { image a; provision file { source a; dest b; }; ssh { }; }",
    "vm a { image a; network user { forward x 80; }; }",
    "vn a { image a; }",
    "vm a { image a; vcpus two; network vnic { nmae x; }; }",
  };
  static const guint faults[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (VmDiagnostics) diagnostics = NULL;
    g_autoptr (VmFile) file = decode ("x", cases[i], strlen (cases[i]), &diagnostics);
    g_assert_null (file);
    g_autofree char *text = vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE);
    g_test_message ("%s\n%s", cases[i], text);
    g_assert_cmpuint (vm_diagnostics_count (diagnostics), ==, faults[i]);
  }
}

/* ---- files ---- */

static char *
make_dir (void)
{
  g_autoptr (GError) error = NULL;
  char *dir = g_dir_make_tmp ("vmfile-XXXXXX", &error);
  g_assert_no_error (error);
  return dir;
}

static void
put_file (const char *dir, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  write_file (path, text);
}

static void
test_load (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *path = g_build_filename (dir, "VMFile.kdl", NULL);
  g_autoptr (VmFile) file = NULL;
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (vm_file_load (path, &file, &diagnostics, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VMFILE_NOT_FOUND);
  g_assert_null (diagnostics);
  g_clear_error (&error);

  put_file (dir, "VMFile.kdl", "vm a { image a; vcpus 0; }\nvm b {}");
  g_assert_false (vm_file_load (path, &file, &diagnostics, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VMFILE_VALIDATION);
  g_autofree char *message = g_strdup_printf ("2 faults in %s", path);
  g_assert_cmpstr (error->message, ==, message);
  g_assert_cmpuint (vm_diagnostics_count (diagnostics), ==, 2);
  g_clear_pointer (&diagnostics, vm_diagnostics_free);
  g_clear_error (&error);

  put_file (dir, "VMFile.kdl", "vm a { image 2GiB; }");
  g_assert_false (vm_file_load (path, &file, &diagnostics, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VMFILE_PARSE_FAILED);
  g_assert_true (g_str_has_prefix (error->message, "1 fault in "));
  g_clear_pointer (&diagnostics, vm_diagnostics_free);
  g_clear_error (&error);

  g_autofree char *large = g_strnfill (VM_FILE_MAX_SIZE + 1, ' ');
  put_file (dir, "VMFile.kdl", large);
  g_assert_false (vm_file_load (path, &file, &diagnostics, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_IO);
  g_clear_error (&error);

  put_file (dir, "VMFile.kdl", "vm a { image a; }");
  g_assert_true (vm_file_load (path, &file, &diagnostics, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (file->path, ==, path);
  g_assert_nonnull (vm_file_get (file, "a"));
  g_assert_null (vm_file_get (file, "b"));
  g_assert_true (vm_dir_remove (dir, NULL));
}

static void
test_find (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *deep = g_build_filename (dir, "a", "b", NULL);
  g_autofree char *expected = g_build_filename (dir, VM_FILE_NAME, NULL);
  g_autoptr (GError) error = NULL;
  gboolean is_parent = FALSE;
  g_assert_cmpint (g_mkdir_with_parents (deep, 0700), ==, 0);

  char *path = NULL;
  g_assert_false (vm_file_find (deep, &path, &is_parent, &error));
  g_assert_error (error, VM_ERROR, VM_ERROR_VMFILE_NOT_FOUND);
  g_assert_null (path);
  g_clear_error (&error);

  put_file (dir, VM_FILE_NAME, "");
  g_assert_true (vm_file_find (deep, &path, &is_parent, &error));
  g_assert_cmpstr (path, ==, expected);
  g_assert_true (is_parent);
  g_clear_pointer (&path, g_free);
  g_assert_true (vm_file_find (dir, &path, &is_parent, &error));
  g_assert_cmpstr (path, ==, expected);
  g_assert_false (is_parent);
  g_clear_pointer (&path, g_free);
  g_assert_true (vm_dir_remove (dir, NULL));
}

/* ---- specifications ---- */

static VmSpec *
resolve (const char *dir, const char *text, GError **error)
{
  g_autoptr (VmFile) file = decode_text (text);
  return vm_def_resolve (file->vms->pdata[0], dir, "noop", error);
}

static void
expect_unresolved (const char *dir, const char *text, VmErrorCode code, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VmSpec) spec = resolve (dir, text, &error);
  g_assert_null (spec);
  g_assert_error (error, VM_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_resolve_defaults (void)
{
  g_autofree char *dir = make_dir ();
  g_autoptr (GError) error = NULL;
  put_file (dir, "a.qcow2", "x");
  g_autoptr (VmSpec) spec = resolve (dir, "vm web { image a.qcow2; }", &error);
  g_assert_no_error (error);
  g_autofree char *image = g_build_filename (dir, "a.qcow2", NULL);
  g_assert_cmpstr (spec->image, ==, image);
  g_assert_cmpstr (spec->backend, ==, "noop");
  g_assert_cmpstr (spec->hostname, ==, "web");
  g_assert_cmpstr (spec->ssh_user, ==, "vm");
  g_assert_cmpuint (spec->vcpus, ==, 1);
  g_assert_cmpuint (spec->memory_mib, ==, 1024);
  g_assert_cmpuint (spec->disk_gib, ==, 0);
  g_assert_cmpuint (spec->networks->len, ==, 1);
  g_assert_null (spec->ssh_public_key);
  g_assert_null (spec->user_data);
  g_assert_null (spec->private_key);
  g_assert_true (vm_dir_remove (dir, NULL));
}

static const char full_file[] =
    "vm web {\n"
    "  image sub/../a.qcow2; vcpus 3; memory 2GiB; disk 7; uefi #true; accel tcg; backend qemu\n"
    "  network tap; network user { forward 1 2 protocol=udp address=\"0.0.0.0\"; }\n"
    "  cloud-init { hostname h; ssh-key k.pub; user-data u; network-config n; }\n"
    "  ssh { user me; private-key \"~/key\"; }\n"
    "  provision shell { inline \"echo\\n\u00e9\"; }\n"
    "  provision shell run=always { script s.sh; }\n"
    "  provision file { source a.qcow2; destination \"/b\"; }\n"
    "}\n";

/* Quotes around what KDL does not take bare. */
static char *
quoted (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "sub/../a.qcow2", 2);
  g_autofree char *path = g_strjoinv ("\"sub/../a.qcow2\"", parts);
  g_auto (GStrv) sizes = g_strsplit (path, "2GiB", 2);
  return g_strjoinv ("\"2GiB\"", sizes);
}

static void
test_resolve_full (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *text = quoted (full_file);
  g_autoptr (GError) error = NULL;
  put_file (dir, "a.qcow2", "x");
  put_file (dir, "k.pub", "ssh-ed25519 AAAA me\n");
  put_file (dir, "u", "#cloud-config\n");
  put_file (dir, "n", "version: 2\n");
  put_file (dir, "s.sh", "#!/bin/sh\n");
  g_autoptr (VmSpec) spec = resolve (dir, text, &error);
  g_assert_no_error (error);
  g_autofree char *image = g_build_filename (dir, "a.qcow2", NULL);
  g_autofree char *script = g_build_filename (dir, "s.sh", NULL);
  g_autofree char *key = g_build_filename (g_get_home_dir (), "key", NULL);
  g_assert_cmpstr (spec->image, ==, image);
  g_assert_cmpstr (spec->ssh_public_key, ==, "ssh-ed25519 AAAA me");
  g_assert_cmpstr (g_bytes_get_data (spec->user_data, NULL), ==, "#cloud-config\n");
  g_assert_cmpstr (spec->private_key, ==, key);
  g_assert_cmpstr (((VmNetwork *) spec->networks->pdata[0])->link, ==, "br0");
  g_assert_cmpstr (((VmStep *) spec->steps->pdata[1])->script, ==, script);
  g_assert_cmpstr (((VmStep *) spec->steps->pdata[2])->source, ==, image);
  g_assert_cmpstr (((VmStep *) spec->steps->pdata[2])->destination, ==, "/b");

  g_autoptr (JsonNode) node = vm_spec_to_json (spec);
  g_autofree char *json = json_to_string (node, TRUE);
  g_autoptr (JsonNode) parsed = json_from_string (json, &error);
  g_assert_no_error (error);
  json_object_set_string_member (json_node_get_object (parsed), "of_a_later_version", "x");
  g_autoptr (VmSpec) copy = vm_spec_from_json (parsed, &error);
  g_assert_no_error (error);
  g_autoptr (JsonNode) again = vm_spec_to_json (copy);
  g_assert_true (json_node_equal (node, again));
  g_assert_true (g_bytes_equal (copy->user_data, spec->user_data));
  g_assert_true (vm_dir_remove (dir, NULL));
}

static void
test_resolve_errors (void)
{
  g_autofree char *dir = make_dir ();
  g_autofree char *large = g_strnfill (1024 * 1024 + 1, 'x');
  put_file (dir, "a", "x");
  put_file (dir, "secret", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
  put_file (dir, "empty", " \n");
  put_file (dir, "latin", "ssh-rsa AAAA caf\xe9\n");
  put_file (dir, "large", large);
  expect_unresolved (dir, "vm v { image nowhere; }", VM_ERROR_IMAGE_NOT_FOUND, "/nowhere");
  expect_unresolved (dir, "vm v { image \".\"; }", VM_ERROR_IMAGE_NOT_FOUND, "is a folder");
  expect_unresolved (dir, "vm v { image a; cloud-init { ssh-key nokey; }; }", VM_ERROR_IO,
                     "vm \"v\": ssh-key: ");
  expect_unresolved (dir, "vm v { image a; cloud-init { ssh-key secret; }; }", VM_ERROR_IO,
                     "private key");
  expect_unresolved (dir, "vm v { image a; cloud-init { ssh-key empty; }; }", VM_ERROR_IO, "empty");
  expect_unresolved (dir, "vm v { image a; cloud-init { ssh-key latin; }; }", VM_ERROR_IO,
                     "not text");
  expect_unresolved (dir, "vm v { image a; cloud-init { ssh-key large; }; }", VM_ERROR_IO,
                     "larger than 64 KiB");
  expect_unresolved (dir, "vm v { image a; cloud-init { user-data large; }; }", VM_ERROR_IO,
                     "user-data: ");
  expect_unresolved (dir, "vm v { image a; cloud-init { network-config large; }; }", VM_ERROR_IO,
                     "network-config: ");
  expect_unresolved (dir, "vm v { image a; ssh { }; provision shell { script s.sh; }; }",
                     VM_ERROR_IO, "provision step 1: script: ");
  expect_unresolved (dir,
                     "vm v { image a; ssh { }; provision shell { inline a; };"
                     " provision file { source s; destination d; }; }",
                     VM_ERROR_IO, "provision step 2: source: ");
  g_assert_true (vm_dir_remove (dir, NULL));
}

static void
test_spec_json_errors (void)
{
  static const char whole[] = "{\"name\":\"a\",\"backend\":\"qemu\",\"vcpus\":1,\"memory_mib\":2,"
                              "\"hostname\":\"a\",\"ssh_user\":\"vm\",\"networks\":[%s]%s}";
  static const struct {
    const char *network;
    const char *more;
    const char *part; /* of the message; NULL: valid */
  } cases[] = {
    { "", "", NULL },
    { "", ",\"accel\":\"kvm\"", NULL },
    { "", ",\"accel\":\"hvf\"", "\"accel\"" },
    { "", ",\"accel\":1", "\"accel\"" },
    { "", ",\"uefi\":1", "\"uefi\"" },
    { "", ",\"disk_gib\":-1", "\"disk_gib\"" },
    { "", ",\"disk_gib\":1.5", "\"disk_gib\"" },
    { "", ",\"image\":7", "\"image\"" },
    { "", ",\"image\":null", "\"image\"" },
    { "", ",\"steps\":{}", "\"steps\"" },
    { "", ",\"user_data\":[]", "\"user_data\"" },
    { "7", "", "networks 1" },
    { "{}", "", "lacks \"kind\"" },
    { "{\"kind\":\"user\",\"forwards\":[{\"host_port\":65536,\"guest_port\":1}]}", "",
      "\"host_port\"" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) text = g_string_new (whole);
    g_string_replace (text, "%s", cases[i].network, 1);
    g_string_replace (text, "%s", cases[i].more, 1);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = json_from_string (text->str, &error);
    g_assert_no_error (error);
    g_autoptr (VmSpec) spec = vm_spec_from_json (node, &error);
    if (cases[i].part == NULL) {
      g_assert_no_error (error);
      continue;
    }
    g_assert_null (spec);
    g_assert_error (error, VM_ERROR, VM_ERROR_STORE_FAILED);
    g_assert_nonnull (strstr (error->message, cases[i].part));
  }
}

/* ---- scale ---- */

/* A file near the size limit, made of @repeat lines, is decoded in a time fit for an editor. */
static void
check_scale (const char *format, guint n)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < n; i++) {
    g_autofree char *number = g_strdup_printf ("%u", i);
    g_autofree char *next = g_strdup_printf ("%u", i + 1);
    gsize start = text->len;
    g_string_append (text, format);
    g_autoptr (GString) line = g_string_new (text->str + start);
    g_string_replace (line, "<i>", number, 0);
    g_string_replace (line, "<next>", next, 0);
    g_string_truncate (text, start);
    g_string_append (text, line->str);
  }
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  gint64 start = g_get_monotonic_time ();
  g_autoptr (VmFile) file = decode ("x", text->str, text->len, &diagnostics);
  if (file != NULL) {
    g_autoptr (GPtrArray) order = vm_file_order (file);
    g_assert_cmpuint (order->len, ==, file->vms->len);
  } else {
    g_autofree char *shown = vm_diagnostics_to_text (diagnostics, VM_RENDER_UNICODE);
    g_assert_cmpuint (strlen (shown), >, 0);
  }
  double seconds = (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  g_test_message ("%" G_GSIZE_FORMAT " bytes of %s: %.2f s", text->len, format, seconds);
  /* A second when built plainly; sanitizers and busy machines are given ten times that. */
  g_assert_cmpfloat (seconds, <, 10);
}

static void
test_scale (void)
{
  check_scale ("vm v<i> { image a; }\n", 30000);
  check_scale ("vm v<i> { image a; depends-on v<next>; }\n", 20000);
  check_scale ("vm v<i> { image a; depends-on w<i>; }\n", 20000);
  check_scale ("vm v { image a; network { forward 1 1; }; }\n", 20000);
  check_scale ("vcpuss <i>\n", 60000);
}

/* ---- documentation ---- */

/* A snippet that holds no vm is what stands in one. */
static void
check_example (const char *example)
{
  gboolean is_whole = strstr (example, "vm \"") != NULL;
  gboolean has_image = strstr (example, "image") != NULL;
  g_autofree char *text =
      is_whole ? g_strdup (example)
               : g_strdup_printf ("vm \"x\" {\n%s\n%s}\nvm \"db\" { image \"a\"; }\n",
                                  has_image ? "" : "image \"x\"", example);
  g_autoptr (VmFile) file = decode_text (text);
}

static void
test_docs_examples (void)
{
  g_autofree char *path = docs_path ();
  g_autofree char *text = read_file (path, NULL);
  g_auto (GStrv) parts = g_strsplit (text, "```", -1);
  guint n = 0;
  for (guint i = 1; parts[i] != NULL; i += 2) {
    if (!g_str_has_prefix (parts[i], "kdl\n"))
      continue;
    check_example (parts[i] + strlen ("kdl\n"));
    n++;
  }
  g_assert_cmpuint (n, >, 0);
}

static void
test_docs_reference (void)
{
  g_autofree char *path = docs_path ();
  g_autofree char *text = read_file (path, NULL);
  g_autofree char *reference = vm_schema_reference ();
  char *start = strstr (text, REFERENCE_START);
  char *end = strstr (text, REFERENCE_END);
  g_assert_nonnull (start);
  g_assert_nonnull (end);
  start += strlen (REFERENCE_START);
  if (is_update ()) {
    g_autofree char *head = g_strndup (text, (gsize) (start - text));
    g_autofree char *updated = g_strconcat (head, "\n", reference, "\n", end, NULL);
    write_file (path, updated);
    return;
  }
  g_autofree char *documented = g_strstrip (g_strndup (start, (gsize) (end - start)));
  g_assert_cmpstr (documented, ==, g_strstrip (reference));
}

/* The block that the example of @setting belongs into; NULL: it stands in the vm itself. */
static const char *
block_of_example (const VmSetting *setting)
{
  if (setting->scopes & VM_IN_CLOUD_INIT)
    return "cloud-init";
  if (setting->scopes & VM_IN_SSH)
    return "ssh";
  return g_str_has_prefix (setting->example, "forward") ? "network" : NULL;
}

/* Every example in the table is one that the table accepts, but those that leave something out. */
static void
test_schema_examples (void)
{
  for (const VmSetting *s = vm_schema (); s->name != NULL; s++) {
    g_test_message ("%s: %s", s->name, s->example);
    g_assert_nonnull (s->doc);
    if (strstr (s->example, "…") != NULL || strstr (s->example, "...") != NULL ||
        g_str_has_prefix (s->example, "defaults"))
      continue;
    const char *block = block_of_example (s);
    const char *way_in = g_str_has_prefix (s->example, "provision") ? "ssh { }" : "";
    g_autofree char *text = block != NULL ? g_strdup_printf ("%s { %s; }\n", block, s->example)
                                          : g_strdup_printf ("%s\n%s\n", s->example, way_in);
    check_example (text);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_cases ();
  g_test_add_func ("/vmfile/drawing", test_drawing);
  g_test_add_func ("/vmfile/labels", test_labels);
  g_test_add_func ("/vmfile/suggestions", test_suggestions);
  g_test_add_func ("/vmfile/no-echo", test_no_echo);
  g_test_add_func ("/vmfile/load", test_load);
  g_test_add_func ("/vmfile/find", test_find);
  g_test_add_func ("/vmfile/resolve/defaults", test_resolve_defaults);
  g_test_add_func ("/vmfile/resolve/full", test_resolve_full);
  g_test_add_func ("/vmfile/resolve/errors", test_resolve_errors);
  g_test_add_func ("/vmfile/spec-json-errors", test_spec_json_errors);
  g_test_add_func ("/vmfile/scale", test_scale);
  g_test_add_func ("/vmfile/docs/examples", test_docs_examples);
  g_test_add_func ("/vmfile/docs/reference", test_docs_reference);
  g_test_add_func ("/vmfile/schema-examples", test_schema_examples);
  return g_test_run ();
}
