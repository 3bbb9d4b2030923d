/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/schema.h"

#include <string.h>

#define IN_ANY_VM (VM_IN_VM | VM_IN_DEFAULTS)
#define IN_NETWORK \
  (VM_IN_NET_USER | VM_IN_NET_ISOLATED | VM_IN_NET_TAP | VM_IN_NET_VNIC | VM_IN_NET_NONE)
#define IN_STEP (VM_IN_SHELL | VM_IN_COPY)

/* A guest with less cannot boot, while `memory 4` is a likely way to ask for 4 GiB. */
#define MIN_MEMORY_MIB 16
#define MAX_MEMORY_MIB (16 * 1024 * 1024)
#define MAX_DISK_GIB (64 * 1024)
#define MAX_VCPUS 1024
/* IFNAMSIZ - 1 on Linux, MAXLINKNAMELEN - 1 on illumos. */
#define MAX_BRIDGE 15
#define MAX_VNIC 31

static const char *const backend_words[] = { "qemu", "propolis", "noop", NULL };

#define AT(type, member) .offset = G_STRUCT_OFFSET (type, member)

static const VmSetting schema[] = {
  { .name = "vm",
    .scopes = VM_IN_FILE,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BLOCK,
    .opens = VM_IN_VM,
    .makes = VM_MAKES_VM,
    .repeatable = TRUE,
    .example = "vm \"web\" { image \"web.qcow2\" }",
    .doc = "a virtual machine" },
  { .name = "defaults",
    .scopes = VM_IN_FILE,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BLOCK,
    .opens = VM_IN_DEFAULTS,
    .makes = VM_MAKES_VM,
    .example = "defaults { memory \"2GiB\" }",
    .doc = "settings that every VM of the file starts from" },

  { .name = "name",
    .scopes = VM_IN_VM,
    .spellings = VM_AS_ARGUMENT,
    .takes = VM_TAKES_VM_NAME,
    AT (VmDef, name),
    .required = TRUE,
    .example = "vm \"web\" { … }",
    .doc = "1 to 63 letters, digits and `._-`, the first a letter or digit" },
  { .name = "image",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmDef, image),
    .choice = VM_CHOICE_IMAGE,
    .example = "image \"images/debian.qcow2\"",
    .doc = "disk image on this machine; it is never written to" },
  { .name = "image-url",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_URL,
    AT (VmDef, image_url),
    .opens = VM_IN_IMAGE_URL,
    .choice = VM_CHOICE_IMAGE,
    .example = "image-url \"https://example.org/debian.qcow2\"",
    .doc = "disk image to fetch: `https://`, `http://`, `file://` or `oci://`" },
  { .name = "vcpus",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_NUMBER,
    AT (VmDef, vcpus),
    .min = 1,
    .max = MAX_VCPUS,
    .fallback = "1",
    .example = "vcpus 2",
    .doc = "virtual processors" },
  { .name = "memory",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_MIB,
    AT (VmDef, memory_mib),
    .min = MIN_MEMORY_MIB,
    .max = MAX_MEMORY_MIB,
    .fallback = "1024",
    .example = "memory 2048",
    .doc = "memory, in MiB unless it has a unit" },
  { .name = "disk",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_GIB,
    AT (VmDef, disk_gib),
    .min = 1,
    .max = MAX_DISK_GIB,
    .fallback = "the image's own size",
    .example = "disk 20",
    .doc = "size of the root disk, in GiB unless it has a unit; never smaller "
           "than the image" },
  { .name = "uefi",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BOOL,
    AT (VmDef, uefi),
    .fallback = "#false",
    .example = "uefi #true",
    .doc = "boot with UEFI firmware instead of a BIOS" },
  { .name = "accel",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_WORD,
    AT (VmDef, accel),
    .words = vm_accel_words,
    .fallback = "auto",
    .example = "accel \"kvm\"",
    .doc = "`kvm` is fast, `tcg` runs everywhere, `auto` takes KVM where it works" },
  { .name = "backend",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_CHOICE,
    AT (VmDef, backend),
    .words = backend_words,
    .fallback = "the platform's own",
    .example = "backend \"qemu\"",
    .doc = "what runs the VM; `noop` touches nothing real" },
  { .name = "network",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BLOCK,
    .opens = IN_NETWORK,
    .makes = VM_MAKES_NETWORK,
    .repeatable = TRUE,
    .fallback = "one `user` network",
    .example = "network \"user\" { forward 8080 80 }",
    .doc = "a network card; a VM's own `network` nodes replace those of `defaults`" },
  { .name = "cloud-init",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PRESENCE,
    AT (VmDef, has_cloud_init),
    .opens = VM_IN_CLOUD_INIT,
    .example = "cloud-init { hostname \"web\" }",
    .doc = "what the guest is told at its first boot" },
  { .name = "ssh",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PRESENCE,
    AT (VmDef, has_ssh),
    .opens = VM_IN_SSH,
    .example = "ssh { user \"debian\" }",
    .doc = "how to log in" },
  { .name = "depends-on",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_VM_NAMES,
    AT (VmDef, depends_on),
    .repeatable = TRUE,
    .example = "depends-on \"db\"",
    .doc = "VMs of this file to bring up before this one; those of `defaults` come on top" },
  { .name = "provision",
    .scopes = IN_ANY_VM,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BLOCK,
    .opens = IN_STEP,
    .makes = VM_MAKES_STEP,
    .repeatable = TRUE,
    .example = "provision \"shell\" { inline \"apt-get update\" }",
    .doc = "a step to run in the guest, in the order of the file; those of `defaults` come first" },

  { .name = "checksum",
    .scopes = VM_IN_IMAGE_URL,
    .spellings = VM_AS_PROPERTY,
    .takes = VM_TAKES_CHECKSUM,
    AT (VmDef, checksum),
    .fallback = "unchecked",
    .example = "image-url \"https://example.org/debian.qcow2\" checksum=\"sha256:...\"",
    .doc = "`sha256:` or `sha512:` and the digits, or the `https://` address of a file of "
           "checksums" },

  { .name = "kind",
    .scopes = IN_NETWORK,
    .spellings = VM_AS_ARGUMENT,
    .takes = VM_TAKES_WORD,
    AT (VmNetwork, kind),
    .words = vm_network_kind_words,
    .fallback = "user",
    .example = "network \"user\"",
    .doc = "`user`: out to the world, in by forwards; `isolated`: in by forwards alone; `tap`: a "
           "bridge of the host; `vnic`: illumos; `none`: no network card" },
  { .name = "forward",
    .scopes = VM_IN_NET_USER | VM_IN_NET_ISOLATED,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_BLOCK,
    .opens = VM_IN_FORWARD,
    .makes = VM_MAKES_FORWARD,
    .repeatable = TRUE,
    .example = "forward 8080 80",
    .doc = "lets a port of the host reach one of the guest" },
  { .name = "bridge",
    .scopes = VM_IN_NET_TAP,
    .spellings = VM_AS_NODE | VM_AS_PROPERTY,
    .takes = VM_TAKES_LINK,
    AT (VmNetwork, link),
    .max = MAX_BRIDGE,
    .fallback = "br0",
    .example = "network \"tap\" bridge=\"br0\"",
    .doc = "bridge of the host to join" },
  { .name = "name",
    .scopes = VM_IN_NET_VNIC,
    .spellings = VM_AS_NODE | VM_AS_PROPERTY,
    .takes = VM_TAKES_LINK,
    AT (VmNetwork, link),
    .max = MAX_VNIC,
    .required = TRUE,
    .example = "network \"vnic\" name=\"vnic0\"",
    .doc = "VNIC of the host to use" },

  { .name = "host port",
    .scopes = VM_IN_FORWARD,
    .spellings = VM_AS_ARGUMENT,
    .takes = VM_TAKES_PORT,
    AT (VmForward, host_port),
    .min = 1,
    .max = G_MAXUINT16,
    .required = TRUE,
    .example = "forward 8080 80",
    .doc = "port that the host listens on" },
  { .name = "guest port",
    .scopes = VM_IN_FORWARD,
    .spellings = VM_AS_ARGUMENT,
    .takes = VM_TAKES_PORT,
    AT (VmForward, guest_port),
    .min = 1,
    .max = G_MAXUINT16,
    .required = TRUE,
    .example = "forward 8080 80",
    .doc = "port of the guest that it leads to" },
  { .name = "address",
    .scopes = VM_IN_FORWARD,
    .spellings = VM_AS_PROPERTY,
    .takes = VM_TAKES_ADDRESS,
    AT (VmForward, address),
    .fallback = "127.0.0.1",
    .example = "forward 8080 80 address=\"127.0.0.1\"",
    .doc = "address of the host to listen on; `0.0.0.0` lets everybody in" },
  { .name = "protocol",
    .scopes = VM_IN_FORWARD,
    .spellings = VM_AS_PROPERTY,
    .takes = VM_TAKES_WORD,
    AT (VmForward, protocol),
    .words = vm_protocol_words,
    .fallback = "tcp",
    .example = "forward 5353 53 protocol=\"udp\"",
    .doc = "what is forwarded" },

  { .name = "hostname",
    .scopes = VM_IN_CLOUD_INIT,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_HOST_NAME,
    AT (VmDef, hostname),
    .fallback = "the VM's name",
    .example = "hostname \"web\"",
    .doc = "the guest's name for itself" },
  { .name = "ssh-key",
    .scopes = VM_IN_CLOUD_INIT,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmDef, ssh_key),
    .fallback = "a pair is made for the VM",
    .example = "ssh-key \"~/.ssh/id_ed25519.pub\"",
    .doc = "public key that may log in; never the private one" },
  { .name = "user-data",
    .scopes = VM_IN_CLOUD_INIT,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmDef, user_data),
    .fallback = "generated",
    .example = "user-data \"cloud-config.yaml\"",
    .doc = "cloud-init user data, handed to the guest as it is" },
  { .name = "network-config",
    .scopes = VM_IN_CLOUD_INIT,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmDef, network_config),
    .fallback = "the guest's own",
    .example = "network-config \"net.yaml\"",
    .doc = "cloud-init network configuration" },

  { .name = "user",
    .scopes = VM_IN_SSH,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_USER,
    AT (VmDef, ssh_user),
    .fallback = "vm",
    .example = "user \"debian\"",
    .doc = "user of the guest to log in as" },
  { .name = "private-key",
    .scopes = VM_IN_SSH,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmDef, private_key),
    .fallback = "the VM's own",
    .example = "private-key \"~/.ssh/id_ed25519\"",
    .doc = "key to log in with" },

  { .name = "kind",
    .scopes = IN_STEP,
    .spellings = VM_AS_ARGUMENT,
    .takes = VM_TAKES_WORD,
    AT (VmStep, kind),
    .words = vm_step_kind_words,
    .required = TRUE,
    .example = "provision \"shell\" { inline \"apt-get update\" }",
    .doc = "`shell` runs commands, `file` copies something into the guest" },
  { .name = "inline",
    .scopes = VM_IN_SHELL,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_TEXT,
    AT (VmStep, inline_text),
    .choice = VM_CHOICE_COMMAND,
    .example = "provision \"shell\" { inline \"apt-get update\" }",
    .doc = "commands for the login shell" },
  { .name = "script",
    .scopes = VM_IN_SHELL,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmStep, script),
    .choice = VM_CHOICE_COMMAND,
    .example = "provision \"shell\" { script \"setup.sh\" }",
    .doc = "script of this machine to upload and run" },
  { .name = "source",
    .scopes = VM_IN_COPY,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_PATH,
    AT (VmStep, source),
    .required = TRUE,
    .example = "provision \"file\" { source \"app.conf\"; destination \"/tmp/app.conf\" }",
    .doc = "file or folder of this machine" },
  { .name = "destination",
    .scopes = VM_IN_COPY,
    .spellings = VM_AS_NODE,
    .takes = VM_TAKES_TEXT,
    AT (VmStep, destination),
    .required = TRUE,
    .example = "provision \"file\" { source \"app.conf\"; destination \"/tmp/app.conf\" }",
    .doc = "where it goes in the guest" },
  { .name = "run",
    .scopes = IN_STEP,
    .spellings = VM_AS_NODE | VM_AS_PROPERTY,
    .takes = VM_TAKES_WORD,
    AT (VmStep, run),
    .words = vm_run_policy_words,
    .fallback = "once",
    .example = "provision \"shell\" run=\"always\" { inline \"date\" }",
    .doc = "`once`: until it has succeeded, and again when it changes; `always`: at every `up`" },
  { .name = NULL },
};

/* How scopes are called and written; those without a heading share the table of the one above. */
static const struct {
  VmScope scope;
  const char *title;
  const char *form;
  const char *heading;
} scopes[] = {
  { VM_IN_FILE, "the file", "the file", "The file" },
  { VM_IN_VM, "a `vm`", "vm \"...\" { }", "`vm` and `defaults`" },
  { VM_IN_DEFAULTS, "`defaults`", "defaults { }", NULL },
  { VM_IN_IMAGE_URL, "`image-url`", "image-url \"...\"", "`image-url`" },
  { VM_IN_NET_USER, "a user network", "network \"user\" { }",
    "`network \"user\"` and `network \"isolated\"`" },
  { VM_IN_NET_ISOLATED, "an isolated network", "network \"isolated\" { }", NULL },
  { VM_IN_FORWARD, "a `forward`", "forward 8080 80", "`forward`" },
  { VM_IN_NET_TAP, "a tap network", "network \"tap\" { }", "`network \"tap\"`" },
  { VM_IN_NET_VNIC, "a vnic network", "network \"vnic\" { }", "`network \"vnic\"`" },
  { VM_IN_NET_NONE, "network \"none\"", "network \"none\"", NULL },
  { VM_IN_CLOUD_INIT, "`cloud-init`", "cloud-init { }", "`cloud-init`" },
  { VM_IN_SSH, "`ssh`", "ssh { }", "`ssh`" },
  { VM_IN_SHELL, "a shell provisioner", "provision \"shell\" { }", "`provision \"shell\"`" },
  { VM_IN_COPY, "a file provisioner", "provision \"file\" { }", "`provision \"file\"`" },
};

/* What people write who know other tools, and the word that means it here. */
static const char *const aliases[][2] = {
  { "cpus", "vcpus" },      { "cpu", "vcpus" },          { "cores", "vcpus" },
  { "ram", "memory" },      { "mem", "memory" },         { "url", "image-url" },
  { "sshkey", "ssh-key" },  { "depends", "depends-on" }, { "after", "depends-on" },
  { "port", "forward" },    { "ports", "forward" },      { "hostfwd", "forward" },
  { "key", "private-key" }, { "dest", "destination" },   { "src", "source" },
  { "proto", "protocol" },  { "ip", "address" },         { "bind", "address" },
  { "bridge", "tap" },      { "bridged", "tap" },        { "nat", "user" },
  { "slirp", "user" },      { "host-only", "isolated" }, { "inline", "shell" },
  { "script", "shell" },    { "copy", "file" },
};

const VmSetting *
vm_schema (void)
{
  return schema;
}

const VmSetting *
vm_schema_find (guint in, guint spellings, const char *name)
{
  for (const VmSetting *s = schema; s->name != NULL; s++)
    if ((s->scopes & in) && (s->spellings & spellings) && strcmp (s->name, name) == 0)
      return s;
  return NULL;
}

const VmSetting *
vm_schema_argument (const VmSetting *setting, guint index)
{
  for (const VmSetting *s = schema; s->name != NULL; s++)
    if ((s->scopes & setting->opens) && (s->spellings & VM_AS_ARGUMENT) && index-- == 0)
      return s;
  return NULL;
}

gboolean
vm_schema_has_nodes (guint in)
{
  for (const VmSetting *s = schema; s->name != NULL; s++)
    if ((s->scopes & in) && (s->spellings & VM_AS_NODE))
      return TRUE;
  return FALSE;
}

/* ---- suggestions ---- */

const char *
vm_schema_suggest_word (const char *const *words, const char *word)
{
  g_autofree char *folded = g_strdelimit (g_ascii_strdown (word, -1), "_", '-');
  for (gsize i = 0; i < G_N_ELEMENTS (aliases); i++) {
    int index = strcmp (aliases[i][0], folded) == 0 ? vm_word_index (words, aliases[i][1]) : -1;
    if (index >= 0)
      return words[index];
  }
  return vm_did_you_mean (word, words);
}

const VmSetting *
vm_schema_suggest (guint in, guint spellings, const char *name)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (const VmSetting *s = schema; s->name != NULL; s++)
    if ((s->scopes & in) && (s->spellings & spellings))
      g_ptr_array_add (names, (gpointer) s->name);
  g_ptr_array_add (names, NULL);
  const char *meant = vm_schema_suggest_word ((const char *const *) names->pdata, name);
  return meant != NULL ? vm_schema_find (in, spellings, meant) : NULL;
}

/* ---- words for messages ---- */

static gsize
scope_index (guint in)
{
  gsize i = 0;
  while (i + 1 < G_N_ELEMENTS (scopes) && !(scopes[i].scope & in))
    i++;
  return i;
}

const char *
vm_schema_scope_title (guint in)
{
  return scopes[scope_index (in)].title;
}

const char *
vm_schema_scope_form (guint in)
{
  return scopes[scope_index (in)].form;
}

char *
vm_schema_join (const char *const *words, const char *conjunction)
{
  GString *out = g_string_new (NULL);
  for (gsize i = 0; words[i] != NULL; i++) {
    if (i > 0 && words[i + 1] != NULL)
      g_string_append (out, ", ");
    else if (i > 0)
      g_string_append_printf (out, " %s ", conjunction);
    g_string_append_printf (out, "`%s`", words[i]);
  }
  return g_string_free (out, FALSE);
}

/* ---- the reference ---- */

static void
append_takes (GString *out, const VmSetting *s)
{
  static const char *const texts[] = {
    [VM_TAKES_BLOCK] = "see below",
    [VM_TAKES_PRESENCE] = "see below",
    [VM_TAKES_NUMBER] = "number",
    [VM_TAKES_PORT] = "port",
    [VM_TAKES_MIB] = "MiB, or a size such as `\"2GiB\"`",
    [VM_TAKES_GIB] = "GiB, or a size such as `\"20GiB\"`",
    [VM_TAKES_BOOL] = "`#true` or `#false`",
    [VM_TAKES_TEXT] = "text",
    [VM_TAKES_PATH] = "path",
    [VM_TAKES_URL] = "URL",
    [VM_TAKES_CHECKSUM] = "checksum",
    [VM_TAKES_VM_NAME] = "VM name",
    [VM_TAKES_VM_NAMES] = "VM names",
    [VM_TAKES_USER] = "user name",
    [VM_TAKES_HOST_NAME] = "host name",
    [VM_TAKES_LINK] = "device name",
    [VM_TAKES_ADDRESS] = "IPv4 address",
  };
  g_autofree char *words = s->words != NULL ? vm_schema_join (s->words, "or") : NULL;
  g_string_append (out, words != NULL ? words : texts[s->takes]);
  if (s->max > 0 && s->takes <= VM_TAKES_GIB)
    g_string_append_printf (out, ", %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, s->min, s->max);
}

/* `bridge "…"`, `bridge=`, or the argument's name in italics. */
static void
append_spelling (GString *out, const VmSetting *s)
{
  if (s->spellings & VM_AS_ARGUMENT)
    g_string_append_printf (out, "*%s*", s->name);
  if (s->spellings & VM_AS_NODE)
    g_string_append_printf (out, "`%s`", s->name);
  if (s->spellings & VM_AS_PROPERTY)
    g_string_append_printf (out, "%s`%s=`", (s->spellings & VM_AS_NODE) ? " or " : "", s->name);
}

static void
append_row (GString *out, const VmSetting *s)
{
  g_string_append (out, "| ");
  append_spelling (out, s);
  g_string_append (out, " | ");
  append_takes (out, s);
  if (s->required)
    g_string_append (out, " | must be given");
  else if (s->choice != VM_CHOICE_NONE)
    g_string_append (out, " | one of the two must be given");
  else
    g_string_append_printf (out, " | %s", s->fallback != NULL ? s->fallback : "none");
  g_string_append_printf (out, " | %s%s |\n", s->doc, s->repeatable ? "; may be repeated" : "");
}

char *
vm_schema_reference (void)
{
  GString *out = g_string_new (NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (scopes); i++) {
    if (scopes[i].heading == NULL)
      continue;
    g_string_append_printf (
        out, "%s### %s\n\n| setting | takes | left out | meaning |\n|---|---|---|---|\n",
        out->len > 0 ? "\n" : "", scopes[i].heading);
    for (const VmSetting *s = schema; s->name != NULL; s++)
      if (s->scopes & scopes[i].scope)
        append_row (out, s);
  }
  return g_string_free (out, FALSE);
}
