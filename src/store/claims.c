/* SPDX-License-Identifier: MPL-2.0 */
#include "store/db.h"

/* What no two VMs may have at once: MAC addresses and ports of the host; and who stands on which
 * image. */

typedef struct {
  const char *name;
  GPtrArray *macs;
} Macs;

static gboolean
set_macs (VmStore *self, gpointer data, GError **error)
{
  const Macs *wanted = data;
  if (!vm_db_run (self, error, "DELETE FROM mac WHERE vm = ?", "s", wanted->name))
    return FALSE;
  for (guint i = 0; i < wanted->macs->len; i++) {
    const char *mac = wanted->macs->pdata[i];
    g_autofree char *holder = NULL;
    if (!vm_db_find_text (self, error, &holder, "SELECT vm FROM mac WHERE mac = ?", "s", mac))
      return FALSE;
    if (holder != NULL)
      return vm_error_set (error, VM_ERROR_VM_EXISTS, "VM \"%s\" has the MAC address %s already",
                           holder, mac);
    if (!vm_db_run (self, error, "INSERT INTO mac (mac, vm) VALUES (?, ?)", "ss", mac,
                    wanted->name))
      return FALSE;
  }
  return TRUE;
}

gboolean
vm_store_set_macs (VmStore *self, const char *name, GPtrArray *macs, GError **error)
{
  Macs wanted = { name, macs };
  return vm_db_transact (self, set_macs, &wanted, error);
}

typedef struct {
  const char *name;
  const VmPort *ports;
  guint n_ports;
  char *holder; /* out */
} Claim;

/* The other VM, if any, that holds @port; one that listens on every address holds it for all. */
static gboolean
find_holder (VmStore *self, Claim *claim, const VmPort *port, GError **error)
{
  return vm_db_find_text (self, error, &claim->holder,
                          "SELECT vm FROM port WHERE vm <> ?1 AND protocol = ?2 AND port = ?3"
                          " AND (address = ?4 OR address = '0.0.0.0' OR ?4 = '0.0.0.0')",
                          "ssis", claim->name, port->protocol, (gint64) port->port, port->address);
}

static gboolean
claim_ports (VmStore *self, gpointer data, GError **error)
{
  Claim *claim = data;
  for (guint i = 0; i < claim->n_ports; i++) {
    if (!find_holder (self, claim, &claim->ports[i], error))
      return FALSE;
    if (claim->holder != NULL)
      return TRUE;
  }
  if (!vm_db_run (self, error, "DELETE FROM port WHERE vm = ?", "s", claim->name))
    return FALSE;
  for (guint i = 0; i < claim->n_ports; i++) {
    const VmPort *port = &claim->ports[i];
    if (!vm_db_run (self, error,
                    "INSERT INTO port (protocol, address, port, vm) VALUES (?, ?, ?, ?)", "ssis",
                    port->protocol, port->address, (gint64) port->port, claim->name))
      return FALSE;
  }
  return TRUE;
}

gboolean
vm_store_claim_ports (VmStore *self, const char *name, const VmPort *ports, guint n_ports,
                      char **out_holder, GError **error)
{
  Claim claim = { name, ports, n_ports, NULL };
  if (!vm_db_transact (self, claim_ports, &claim, error)) {
    g_free (claim.holder);
    return FALSE;
  }
  *out_holder = claim.holder;
  return TRUE;
}

gboolean
vm_store_release_ports (VmStore *self, const char *name, GError **error)
{
  return vm_db_run (self, error, "DELETE FROM port WHERE vm = ?", "s", name);
}

gboolean
vm_store_use_image (VmStore *self, const char *name, const char *path, GError **error)
{
  return vm_db_run (self, error, "INSERT OR REPLACE INTO image_use (vm, path) VALUES (?, ?)", "ss",
                    name, path);
}

char **
vm_store_image_users (VmStore *self, const char *path, GError **error)
{
  g_autoptr (Statement) statement =
      vm_db_query (self, error, "SELECT vm FROM image_use WHERE path = ? ORDER BY vm", "s", path);
  if (statement == NULL)
    return NULL;
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  int rc;
  while ((rc = sqlite3_step (statement)) == SQLITE_ROW)
    g_strv_builder_add (names, (const char *) sqlite3_column_text (statement, 0));
  if (rc != SQLITE_DONE) {
    vm_db_error (self, error);
    return NULL;
  }
  return g_strv_builder_end (names);
}
