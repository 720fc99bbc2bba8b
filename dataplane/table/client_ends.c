#include <sluice/dp/snapshot.h>

void
sl_client_ends_fill(
	struct sl_client_end *ends, const struct sl_client *clients, uint32_t nb_clients
)
{
	for (uint32_t i = 0; i < nb_clients; i++)
		ends[i] = (struct sl_client_end){
			.session = clients[i].is_live ? clients[i].session : SL_CLIENT_GONE,
			.address = clients[i].address,
		};
}
