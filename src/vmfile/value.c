/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/decode.h"

#include <string.h>

#define MAX_HOST_NAME 253
#define MAX_USER_NAME 32

/* ---- messages ---- */

/* How a message calls the setting: `vcpus`, or "the host port" for an argument. */
static char *
subject_of (const VmReading *reading)
{
  const VmSetting *setting = reading->setting;
  if (reading->spelling != VM_AS_ARGUMENT)
    return g_strdup_printf ("`%s`", setting->name);
  if (setting->takes == VM_TAKES_WORD)
    return g_strdup_printf ("`%s`", reading->node);
  return g_strdup_printf ("the %s", setting->name);
}

/* The setting with @text as its value, as one would write it. */
static char *
written_with (const VmReading *reading, const char *text)
{
  if (reading->spelling == VM_AS_PROPERTY)
    return g_strdup_printf ("%s=%s", reading->setting->name, text);
  if (reading->spelling == VM_AS_NODE)
    return g_strdup_printf ("%s %s", reading->setting->name, text);
  return g_strdup (text);
}

static const char *
expected_noun (const VmSetting *setting)
{
  switch (setting->takes) {
  case VM_TAKES_NUMBER:
  case VM_TAKES_PORT:
    return "a whole number";
  case VM_TAKES_MIB:
    return "a whole number of MiB or a size such as \"2GiB\"";
  case VM_TAKES_GIB:
    return "a whole number of GiB or a size such as \"20GiB\"";
  case VM_TAKES_BOOL:
    return "#true or #false";
  default:
    return "a string";
  }
}

static const char *
found_noun (const KdlValue *value)
{
  gint64 ignored;
  switch (value->kind) {
  case KDL_STRING:
    return "a string";
  case KDL_NUMBER:
    return kdl_value_int64 (value, &ignored) == KDL_FIT_NOT_WHOLE ? "a fraction" : "a number";
  default:
    return value->text;
  }
}

/* Adds "`vcpus` takes a whole number, not a string"; the help is an example until told otherwise.
 */
static VmDiagnostic *
wrong_type (VmDecoder *self, const VmReading *reading)
{
  g_autofree char *subject = subject_of (reading);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "%s takes %s, not %s", subject,
                        expected_noun (reading->setting), found_noun (reading->value));
  vm_diagnostic_help (fault, "for example: %s", reading->setting->example);
  return fault;
}

/* Adds a fault whose message is @what about the setting. */
static VmDiagnostic *
bad_value (VmDecoder *self, const VmReading *reading, const char *what)
{
  g_autofree char *subject = subject_of (reading);
  VmDiagnostic *fault = vm_decoder_fault (self, reading->value->span, "%s %s", subject, what);
  vm_diagnostic_help (fault, "for example: %s", reading->setting->example);
  return fault;
}

/* ---- numbers and sizes ---- */

static gboolean
out_of_range (VmDecoder *self, const VmReading *reading, gboolean too_small)
{
  const VmSetting *s = reading->setting;
  g_autofree char *subject = subject_of (reading);
  const char *unit = s->takes == VM_TAKES_MIB ? " MiB" : s->takes == VM_TAKES_GIB ? " GiB" : "";
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "%s must be at %s %" G_GINT64_FORMAT "%s",
                        subject, too_small ? "least" : "most", too_small ? s->min : s->max, unit);
  gint64 given = 0;
  if (s->takes == VM_TAKES_MIB && kdl_value_int64 (reading->value, &given) == KDL_FIT_OK &&
      given > 0 && given < s->min)
    vm_diagnostic_help (fault, "a bare number counts MiB; for %d GiB write: memory \"%dGiB\"",
                        (int) given, (int) given);
  else if (s->fallback != NULL)
    vm_diagnostic_help (
        fault, "it can be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT "%s; left out, it is %s",
        s->min, s->max, unit, s->fallback);
  else
    vm_diagnostic_help (fault, "it can be %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, s->min,
                        s->max);
  return FALSE;
}

static gboolean
in_range (VmDecoder *self, const VmReading *reading, guint64 number, gint64 *out)
{
  const VmSetting *s = reading->setting;
  if (number < (guint64) s->min || number > (guint64) s->max)
    return out_of_range (self, reading, number < (guint64) s->min);
  *out = (gint64) number;
  return TRUE;
}

/* `memory 2.5` is likely meant in GiB. */
static gboolean
not_whole (VmDecoder *self, const VmReading *reading)
{
  VmDiagnostic *fault = wrong_type (self, reading);
  double number = 0;
  gboolean is_size = reading->setting->takes == VM_TAKES_MIB;
  if (is_size && kdl_value_double (reading->value, &number) == KDL_FIT_OK && number > 0 &&
      number < 1024)
    vm_diagnostic_help (fault, "for %s GiB write: memory %d", reading->value->text,
                        (int) (number * 1024));
  return FALSE;
}

static gboolean
is_number (const char *text)
{
  return text[0] != '\0' && strspn (text, G_CSET_DIGITS) == strlen (text);
}

/* Two numbers with a colon, as other tools take them. */
static gboolean
is_port_pair (const char *text)
{
  const char *colon = strchr (text, ':');
  return colon != NULL && colon > text && is_number (colon + 1) &&
         strspn (text, G_CSET_DIGITS) == (gsize) (colon - text);
}

/* `memory "2048"`: it may be meant in MiB, as without quotes, or not. */
static gboolean
size_without_unit (VmDecoder *self, const VmReading *reading)
{
  const char *text = reading->value->text;
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "the size \"%s\" has no unit", text);
  vm_diagnostic_help (fault, "without quotes it counts %s: %s %s",
                      reading->setting->takes == VM_TAKES_MIB ? "MiB" : "GiB",
                      reading->setting->name, text);
  return FALSE;
}

static gboolean
number_in_string (VmDecoder *self, const VmReading *reading)
{
  VmDiagnostic *fault = wrong_type (self, reading);
  const char *text = reading->value->text;
  if (is_number (text)) {
    g_autofree char *written = written_with (reading, text);
    vm_diagnostic_help (fault, "remove the quotes: %s", written);
  } else if (reading->setting->takes == VM_TAKES_PORT && is_port_pair (text)) {
    const char *colon = strchr (text, ':');
    vm_diagnostic_help (fault, "host and guest port are two arguments: forward %.*s %s",
                        (int) (colon - text), text, colon + 1);
  }
  return FALSE;
}

/* Units are powers of 1024. Returns the number of MiB in one, 0 for an unknown one. */
static guint64
unit_in_mib (const char *unit)
{
  static const struct {
    const char *name;
    guint64 mib;
  } units[] = {
    { "M", 1 },      { "MiB", 1 },         { "G", 1024 },
    { "GiB", 1024 }, { "T", 1024 * 1024 }, { "TiB", 1024 * 1024 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_ascii_strcasecmp (units[i].name, unit) == 0)
      return units[i].mib;
  return 0;
}

static gboolean
bad_size (VmDecoder *self, const VmReading *reading, const char *number, const char *unit)
{
  g_autofree char *shown = vm_decoder_quote (reading->value->text);
  VmDiagnostic *fault = vm_decoder_fault (self, reading->value->span, "`%s` is not a size", shown);
  gsize digits = strspn (number, G_CSET_DIGITS);
  if (digits > 0 && strlen (unit) == 2 && strchr ("MmGgTt", unit[0]) != NULL &&
      g_ascii_tolower (unit[1]) == 'b')
    vm_diagnostic_help (fault, "sizes are powers of 1024; write: %s \"%.*s%ciB\"",
                        reading->setting->name, (int) digits, number, g_ascii_toupper (unit[0]));
  else
    vm_diagnostic_help (
        fault, "a size is a whole number and one of the units MiB, GiB and TiB, such as \"2GiB\"");
  return FALSE;
}

/* "2GiB", "512M", "4 G" */
static gboolean
read_size (VmDecoder *self, const VmReading *reading, gint64 *out)
{
  const char *text = reading->value->text;
  if (is_number (text))
    return size_without_unit (self, reading);
  gsize digits = strspn (text, G_CSET_DIGITS);
  const char *unit = text + digits + strspn (text + digits, " ");
  guint64 mib = unit_in_mib (unit);
  /* More digits than any size in range has would overflow. */
  if (digits == 0 || mib == 0)
    return bad_size (self, reading, text, unit);
  if (digits > 12)
    return out_of_range (self, reading, FALSE);

  guint64 size = g_ascii_strtoull (text, NULL, 10) * mib;
  if (reading->setting->takes == VM_TAKES_MIB)
    return in_range (self, reading, size, out);
  if (size % 1024 != 0) {
    VmDiagnostic *fault = bad_value (self, reading, "must be a whole number of GiB");
    vm_diagnostic_help (fault, "the next larger: disk %" G_GUINT64_FORMAT, size / 1024 + 1);
    return FALSE;
  }
  return in_range (self, reading, size / 1024, out);
}

static gboolean
read_number (VmDecoder *self, const VmReading *reading, gint64 *out)
{
  const KdlValue *value = reading->value;
  gboolean is_size =
      reading->setting->takes == VM_TAKES_MIB || reading->setting->takes == VM_TAKES_GIB;
  if (value->kind == KDL_STRING)
    return is_size ? read_size (self, reading, out) : number_in_string (self, reading);

  gint64 number = 0;
  switch (kdl_value_int64 (value, &number)) {
  case KDL_FIT_OK:
    return number < 0 ? out_of_range (self, reading, TRUE)
                      : in_range (self, reading, (guint64) number, out);
  case KDL_FIT_TOO_SMALL:
    return out_of_range (self, reading, TRUE);
  case KDL_FIT_TOO_LARGE:
    return out_of_range (self, reading, FALSE);
  case KDL_FIT_NOT_WHOLE:
    return not_whole (self, reading);
  case KDL_FIT_NOT_A_NUMBER:
    break;
  }
  wrong_type (self, reading);
  return FALSE;
}

/* ---- booleans and words ---- */

static gboolean
read_bool (VmDecoder *self, const VmReading *reading, gboolean *out)
{
  static const char *const yes[] = { "true", "yes", "on", "1", NULL };
  static const char *const no[] = { "false", "no", "off", "0", NULL };
  const KdlValue *value = reading->value;
  if (value->kind == KDL_BOOLEAN) {
    *out = value->is_true;
    return TRUE;
  }
  VmDiagnostic *fault = wrong_type (self, reading);
  const char *mark = self->is_kdl1 ? "" : "#";
  g_autofree char *folded = g_ascii_strdown (value->text, -1);
  gboolean is_yes = vm_word_index (yes, folded) >= 0;
  if (is_yes || vm_word_index (no, folded) >= 0)
    vm_diagnostic_help (fault, "write: %s %s%s", reading->setting->name, mark,
                        is_yes ? "true" : "false");
  else
    vm_diagnostic_help (fault, "write %strue or %sfalse", mark, mark);
  return FALSE;
}

static gboolean
read_word (VmDecoder *self, const VmReading *reading, int *out)
{
  const char *const *words = reading->setting->words;
  const char *text = reading->value->text;
  int index = vm_word_index (words, text);
  if (index >= 0) {
    *out = index;
    return TRUE;
  }
  g_autofree char *shown = vm_decoder_quote (text);
  g_autofree char *what = g_strdup_printf ("cannot be `%s`", shown);
  VmDiagnostic *fault = bad_value (self, reading, what);
  const char *meant = vm_schema_suggest_word (words, text);
  g_autofree char *all = vm_schema_join (words, "or");
  if (meant != NULL)
    vm_diagnostic_help (fault, "did you mean `%s`?", meant);
  else
    vm_diagnostic_help (fault, "it can be %s", all);
  return FALSE;
}

/* ---- strings ---- */

static gboolean
check_path (VmDecoder *self, const VmReading *reading, const char *text)
{
  if (strcmp (reading->setting->name, "image") != 0 || strstr (text, "://") == NULL)
    return TRUE;
  VmDiagnostic *fault = bad_value (self, reading, "takes a path, not a URL");
  g_autofree char *source = vm_decoder_source (self, reading->value->span);
  vm_diagnostic_help (fault, "write: image-url %s", source);
  return FALSE;
}

static gboolean
check_url (VmDecoder *self, const VmReading *reading, const char *text)
{
  static const char *const schemes[] = { "https", "http", "file", "oci", NULL };
  const char *colon = strstr (text, "://");
  g_autofree char *source = vm_decoder_source (self, reading->value->span);
  if (colon == NULL) {
    VmDiagnostic *fault = bad_value (self, reading, "takes a URL");
    if (text[0] == '/' || text[0] == '.' || text[0] == '~')
      vm_diagnostic_help (fault, "for a file on this machine write: image %s", source);
    return FALSE;
  }
  g_autofree char *scheme = g_strndup (text, (gsize) (colon - text));
  if (vm_word_index (schemes, scheme) < 0) {
    g_autofree char *shown = vm_decoder_quote (scheme);
    g_autofree char *what = g_strdup_printf ("cannot fetch from `%s://`", shown);
    VmDiagnostic *fault = bad_value (self, reading, what);
    vm_diagnostic_help (fault, "it takes https://, http://, file:// and oci://");
    return FALSE;
  }
  if (colon[3] == '\0' || strpbrk (text, " \t\r\n") != NULL) {
    bad_value (self, reading,
               colon[3] == '\0' ? "has nothing behind `://`"
                                : "takes a URL, in which no blanks can stand");
    return FALSE;
  }
  return TRUE;
}

static gboolean
is_hex (const char *text, gsize length)
{
  return strlen (text) == length && strspn (text, G_CSET_DIGITS "abcdefABCDEF") == length;
}

static gboolean
check_checksum (VmDecoder *self, const VmReading *reading, const char *text)
{
  if ((g_str_has_prefix (text, "sha256:") && is_hex (text + 7, 64)) ||
      (g_str_has_prefix (text, "sha512:") && is_hex (text + 7, 128)) ||
      (g_str_has_prefix (text, "https://") && strlen (text) > strlen ("https://")))
    return TRUE;
  VmDiagnostic *fault =
      bad_value (self, reading,
                 "takes sha256:DIGITS, sha512:DIGITS or the https:// address of a "
                 "file of checksums");
  if (is_hex (text, 64) || is_hex (text, 128))
    vm_diagnostic_help (fault, "say of which kind it is: %s:%.8s...",
                        strlen (text) == 64 ? "sha256" : "sha512", text);
  else if (g_str_has_prefix (text, "sha256:") || g_str_has_prefix (text, "sha512:"))
    vm_diagnostic_help (fault, "%.6s: is followed by %s hexadecimal digits", text,
                        text[3] == '2' ? "64" : "128");
  else if (g_str_has_prefix (text, "http://"))
    vm_diagnostic_help (fault, "checksums fetched without encryption prove nothing");
  return FALSE;
}

static gboolean
check_vm_name (VmDecoder *self, const VmReading *reading, const char *text)
{
  if (vm_name_is_valid (text))
    return TRUE;
  g_autofree char *shown = vm_decoder_quote (text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "`%s` cannot name a VM", shown);
  vm_diagnostic_help (fault, "a name has 1 to 63 letters, digits and `._-`, the first a letter or "
                             "digit");
  return FALSE;
}

/* Never anything that a command line could take for an option. */
static gboolean
check_user (VmDecoder *self, const VmReading *reading, const char *text)
{
  gsize length = strlen (text);
  if (length <= MAX_USER_NAME && (g_ascii_isalpha (text[0]) || text[0] == '_') &&
      strspn (text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == length)
    return TRUE;
  g_autofree char *shown = vm_decoder_quote (text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "`%s` is not a user name", shown);
  vm_diagnostic_help (fault,
                      "a user name has 1 to 32 letters, digits and `._-`, the first a letter "
                      "or `_`");
  return FALSE;
}

/* RFC 1123: labels of letters, digits and inner hyphens, up to 63 each. */
static gboolean
check_host_name (VmDecoder *self, const VmReading *reading, const char *text)
{
  g_auto (GStrv) labels = g_strsplit (text, ".", -1);
  gboolean valid = strlen (text) <= MAX_HOST_NAME;
  for (gsize i = 0; labels[i] != NULL; i++) {
    gsize n = strlen (labels[i]);
    valid = valid && n > 0 && n <= 63 && labels[i][0] != '-' && labels[i][n - 1] != '-' &&
            strspn (labels[i], G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-") == n;
  }
  if (valid)
    return TRUE;
  g_autofree char *shown = vm_decoder_quote (text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "`%s` is not a host name", shown);
  vm_diagnostic_help (fault,
                      "a host name has letters, digits and inner `-`, in parts of at most 63 "
                      "with dots between");
  return FALSE;
}

static gboolean
check_link (VmDecoder *self, const VmReading *reading, const char *text)
{
  gsize length = strlen (text);
  if (length <= (gsize) reading->setting->max && text[0] != '-' && strcmp (text, ".") != 0 &&
      strcmp (text, "..") != 0 &&
      strspn (text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == length)
    return TRUE;
  g_autofree char *shown = vm_decoder_quote (text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "`%s` cannot name a network device", shown);
  vm_diagnostic_help (fault, "a device name has 1 to %d letters, digits and `._-`",
                      (int) reading->setting->max);
  return FALSE;
}

static gboolean
check_address (VmDecoder *self, const VmReading *reading, const char *text)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (text);
  if (address != NULL && g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4)
    return TRUE;
  g_autofree char *shown = vm_decoder_quote (text);
  VmDiagnostic *fault =
      vm_decoder_fault (self, reading->value->span, "`%s` is not an IPv4 address", shown);
  vm_diagnostic_help (fault,
                      "\"127.0.0.1\" is this machine alone, \"0.0.0.0\" all of its addresses");
  return FALSE;
}

typedef gboolean (*CheckText) (VmDecoder *self, const VmReading *reading, const char *text);

static const CheckText text_checks[] = {
  [VM_TAKES_PATH] = check_path,           [VM_TAKES_URL] = check_url,
  [VM_TAKES_CHECKSUM] = check_checksum,   [VM_TAKES_VM_NAME] = check_vm_name,
  [VM_TAKES_VM_NAMES] = check_vm_name,    [VM_TAKES_USER] = check_user,
  [VM_TAKES_HOST_NAME] = check_host_name, [VM_TAKES_LINK] = check_link,
  [VM_TAKES_ADDRESS] = check_address,
};

/* Whether the value is a string that C can hold; else adds a fault. */
static gboolean
check_string (VmDecoder *self, const VmReading *reading)
{
  const KdlValue *value = reading->value;
  if (value->kind != KDL_STRING) {
    VmDiagnostic *fault = wrong_type (self, reading);
    if (value->kind == KDL_NUMBER && reading->setting->words == NULL) {
      g_autofree char *quoted = g_strdup_printf ("\"%s\"", value->text);
      g_autofree char *written = written_with (reading, quoted);
      vm_diagnostic_help (fault, "quote it: %s", written);
    }
    return FALSE;
  }
  if (value->length == 0)
    bad_value (self, reading, "is empty");
  else if (strlen (value->text) != value->length)
    bad_value (self, reading, "contains a NUL character");
  else
    return TRUE;
  return FALSE;
}

static gboolean
read_text (VmDecoder *self, const VmReading *reading, gpointer field)
{
  const VmSetting *setting = reading->setting;
  const char *text = reading->value->text;
  int index = 0;
  if (!check_string (self, reading))
    return FALSE;
  if (setting->words != NULL && !read_word (self, reading, &index))
    return FALSE;
  if (setting->takes == VM_TAKES_WORD) {
    *(guint *) field = (guint) index;
    return TRUE;
  }
  CheckText check = text_checks[setting->takes];
  if (check != NULL && !check (self, reading, text))
    return FALSE;
  if (setting->takes == VM_TAKES_VM_NAMES) {
    char *name = g_strdup (text);
    g_ptr_array_add (*(GPtrArray **) field, name);
    vm_decoder_place (self, name, reading->value->span);
    return TRUE;
  }
  g_free (*(char **) field);
  *(char **) field = g_strdup (text);
  return TRUE;
}

gboolean
vm_decoder_read (VmDecoder *self, const VmReading *reading, gpointer field)
{
  VmTakes takes = reading->setting->takes;
  gint64 number = 0;
  if (takes == VM_TAKES_BOOL)
    return read_bool (self, reading, field);
  if (takes >= VM_TAKES_WORD)
    return read_text (self, reading, field);
  if (!read_number (self, reading, &number))
    return FALSE;
  if (takes == VM_TAKES_NUMBER)
    *(guint *) field = (guint) number;
  else if (takes == VM_TAKES_PORT)
    *(guint16 *) field = (guint16) number;
  else
    *(guint64 *) field = (guint64) number;
  return TRUE;
}
